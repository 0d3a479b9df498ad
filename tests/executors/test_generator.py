"""TextToImage and ImageToImage with a tiny pipeline: as Jina calls them, and through Flows."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from docarray import Document, DocumentArray
from jina import Client
from PIL import Image

from executors.error_response import RequestFailed
from executors.generation.generator import ImageToImage, TextToImage
from tests.executors.conftest import opened
from tests.gateway.service import Service, discard, launch_flow, read_flow, ready
from tests.inputs import jpeg, png
from tests.superres.generation.tiny_generator import write_pipeline

QUICK = {"prompt": "cat", "steps": 2, "seed": 5, "model": "bicubic_pp.x2"}
MODELS = ["bicubic_pp.x2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("generator") / "tiny")


@pytest.fixture(scope="module")
def text(folder: Path) -> Iterator[TextToImage]:
    executor = TextToImage(
        generator=str(folder), models=MODELS, device="cpu", offline=True, max_generated_pixels=9000
    )
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def images(folder: Path) -> Iterator[ImageToImage]:
    executor = ImageToImage(generator=str(folder), models=MODELS, device="cpu", offline=True)
    yield executor
    executor.close()


def call(endpoint: Any, document: Document, **parameters: Any) -> Document:
    return asyncio.run(endpoint(DocumentArray([document]), parameters=parameters))[0]


def refusal(endpoint: Any, document: Document, **parameters: Any) -> Mapping[str, Any]:
    with pytest.raises(RequestFailed) as caught:
        call(endpoint, document, **parameters)
    told: dict[str, Any] = json.loads(str(caught.value))
    return told


def mask(size: tuple[int, int]) -> bytes:
    """A white rectangle in black."""
    made = Image.new("L", size)
    made.paste(255, (4, 4, 12, 12))
    file = BytesIO()
    made.save(file, "PNG")
    return file.getvalue()


def test_a_prompt_becomes_an_image_which_is_enlarged(text: TextToImage) -> None:
    answer = call(text.imagine, Document(tags=QUICK), width=40, height=24)
    assert opened(answer).size == (80, 48)
    assert opened(answer.chunks[0]).size == (40, 24)
    record = answer.tags["imagine"]
    assert (record["seed"], record["made_size"], record["output_size"]) == (5, [40, 24], [80, 48])
    assert record["model"] == "bicubic_pp.x2"
    again = call(text.imagine, Document(), **QUICK, width=40, height=24)
    assert again.blob == answer.blob
    drawn = call(text.imagine, Document(tags={**QUICK, "seed": None}))
    assert drawn.tags["imagine"]["seed"] != 5
    assert opened(drawn).size == (64, 64)  # twice the model's own size


def test_what_was_made_can_stay_as_it_is_or_be_refined(text: TextToImage) -> None:
    plain = call(text.imagine, Document(tags=QUICK), enlarge=False)
    assert (np.array(opened(plain)) == np.array(opened(plain.chunks[0]))).all()
    whole, refined = (
        call(text.imagine, Document(tags=QUICK), refine=refine) for refine in (0, 0.5)
    )
    assert opened(refined).size == opened(whole).size
    assert refined.chunks[0].blob == whole.chunks[0].blob
    assert refined.blob != whole.blob


def test_the_options_of_upscaling_count(text: TextToImage) -> None:
    answer = call(
        text.imagine,
        Document(tags=QUICK),
        scale="50:-1",
        image_format="jpeg",
        restore=["denoise", "upscale"],
    )
    assert opened(answer).size == (50, 50)
    assert answer.mime_type == "image/jpeg"


@pytest.mark.parametrize(
    ("parameters", "code", "option"),
    [
        ({"prompt": " "}, "OPTION", "prompt"),
        ({"prompt": "cat " * 80}, "OPTION", "prompt"),
        ({"width": 30}, "OPTION", "width"),
        ({"height": 4}, "OPTION", "height"),
        ({"steps": 0}, "OPTION", "steps"),
        ({"seed": -1}, "OPTION", "seed"),
        ({"refine": 2}, "OPTION", "refine"),
        ({"model": "none"}, "MODEL", "model"),
        ({"scale": "900:900"}, "SCALE_TOO_LARGE", "scale"),
        ({"width": 800, "height": 800}, "PIXELS", None),
        ({"restore": "faces"}, "OPTION", "restore"),
    ],
)
def test_what_is_wrong_is_named(
    text: TextToImage, parameters: dict[str, Any], code: str, option: str | None
) -> None:
    told = refusal(text.imagine, Document(), **{**QUICK, **parameters})
    assert (told["code"], told["option"]) == (code, option)


def test_memory_that_is_not_there_is_told_before_any_work(folder: Path) -> None:
    small = TextToImage(
        generator=str(folder), models=MODELS, device="cpu", offline=True, host_memory_mb=64
    )
    told = refusal(small.imagine, Document(), **QUICK, width=1024, height=1024)
    assert told["code"] == "MEMORY"
    small.close()


def test_a_request_tells_its_progress(text: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "executors.admission.deadline.Deadline.note_progress",
        lambda _self, _document, done, total: heard.append((done, total)),
    )
    call(text.imagine, Document(tags=QUICK))
    shares = [done / total for done, total in heard]
    assert shares == sorted(shares)
    assert shares[0] == 0.25
    assert shares[-1] == 1


@pytest.mark.parametrize("size", [(20, 12), (60, 45)])
def test_an_image_is_changed_and_keeps_its_size(
    images: ImageToImage, size: tuple[int, int]
) -> None:
    document = Document(blob=jpeg(size=size), tags={**QUICK, "image_format": "png"})
    answer = call(images.restyle, document, change=0.5)
    assert opened(answer).size == size
    assert max(opened(answer.chunks[0]).size) >= 32  # what the model was trained on
    assert answer.tags["restyle"]["seed"] == 5


def test_damaged_areas_are_made_anew_and_the_rest_stays(images: ImageToImage) -> None:
    document = Document(blob=png(size=(30, 20)), tags=QUICK)
    document.chunks = [Document(blob=mask((30, 20)))]
    original = np.array(Image.open(BytesIO(document.blob)).convert("RGB"))
    answer = call(images.inpaint, document)
    assert opened(answer).size == (60, 40)
    made = np.array(opened(answer.chunks[0]))
    hidden = np.array(Image.open(BytesIO(mask((30, 20))))) > 0
    assert (made[~hidden] == original[~hidden]).all()
    assert (made[hidden] != original[hidden]).any()


@pytest.mark.parametrize(
    ("masks", "words"),
    [([], "no mask"), ([mask((9, 9))], "that of the image"), ([png("L", (30, 20))], "")],
)
def test_a_mask_must_fit(images: ImageToImage, masks: list[bytes], words: str) -> None:
    document = Document(blob=png(size=(30, 20)), tags=QUICK)
    document.chunks = [Document(blob=blob) for blob in masks]
    if not words:
        assert call(images.inpaint, document).blob
        return
    told = refusal(images.inpaint, document)
    assert words in told["message"]
    assert told["option"] == "mask"


def test_a_generator_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="generator: expected a folder"):
        TextToImage(device="cpu", offline=True)
    with pytest.raises(SystemExit, match="40 digits of a commit"):
        TextToImage(generator="owner/name", device="cpu", offline=True)


@pytest.fixture(scope="module")
def services(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Service]]:
    """The three Flows on free ports."""
    variables = {"SUPERRES_GENERATOR": str(folder), "SUPERRES_OFFLINE": "true"}
    started: dict[str, Service] = {}
    for name in ("text-to-image", "inpaint"):
        flow = read_flow(f"{name}.yml")
        started[name] = ready(launch_flow(tmp_path_factory.mktemp(name), flow, variables))
    yield started
    for service in started.values():
        discard(service)


@pytest.mark.flow
@pytest.mark.parametrize("protocol", ["grpc", "http", "ws"])
def test_the_flow_answers_over_every_protocol(services: dict[str, Service], protocol: str) -> None:
    client = Client(host=f"{protocol}://localhost:{services['text-to-image'].port}")
    (answer,) = client.post("/imagine", [Document(tags=QUICK)])
    assert opened(answer).size == (64, 64)
    assert opened(answer.chunks[0]).size == (32, 32)


def post(service: Service, path: str, body: bytes, kind: str) -> tuple[Document, Mapping[str, Any]]:
    url = f"http://localhost:{service.port}{path}"
    with urlopen(Request(url, body, {"Content-Type": kind}, method="POST")) as answer:
        endpoint = path.partition("?")[0][1:]
        return Document(blob=answer.read()), json.loads(answer.headers[f"X-{endpoint.title()}"])


@pytest.mark.flow
@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?prompt=cat&steps=2&seed=5&model=bicubic_pp.x2", b""),
        ("?seed=5&model=bicubic_pp.x2", b"prompt=cat&steps=2"),
    ],
)
def test_a_prompt_alone_is_enough(services: dict[str, Service], query: str, body: bytes) -> None:
    kind = "application/x-www-form-urlencoded"
    answer, record = post(services["text-to-image"], f"/imagine{query}", body, kind)
    assert opened(answer).size == (64, 64)
    assert (record["seed"], record["steps"]) == (5, 2)


@pytest.mark.flow
def test_a_form_brings_image_and_mask(services: dict[str, Service]) -> None:
    parts = {"file": png(size=(30, 20)), "mask": mask((30, 20))}
    body = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in parts.items()
    )
    body += b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\ncat\r\n--x--\r\n'
    path = "/inpaint?steps=2&model=bicubic_pp.x2"
    answer, _ = post(services["inpaint"], path, body, "multipart/form-data; boundary=x")
    assert opened(answer).size == (60, 40)
