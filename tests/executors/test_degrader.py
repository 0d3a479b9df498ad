"""The Executor of /degrade, called as Jina calls it, and through a Flow over every protocol."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from docarray import Document, DocumentArray
from jina import Client

from executors.degrader import Degrader
from executors.error_response import RequestFailed
from tests.executors.conftest import opened
from tests.gateway.service import Service, discard, launch_flow, read_flow, ready
from tests.inputs import png


@pytest.fixture(scope="module")
def degrader() -> Degrader:
    return Degrader(max_input_pixels=400_000, max_documents=4)


def degrade(degrader: Degrader, *docs: Document, **parameters: Any) -> DocumentArray:
    return asyncio.run(degrader.degrade(DocumentArray(docs), parameters=parameters))


def refusal(degrader: Degrader, document: Document, **parameters: Any) -> Mapping[str, Any]:
    with pytest.raises(RequestFailed) as caught:
        degrade(degrader, document, **parameters)
    told: dict[str, Any] = json.loads(str(caught.value))
    return told


def test_an_image_comes_back_small_with_its_record(degrader: Degrader) -> None:
    document = Document(blob=png(size=(41, 30)), tags={"seed": 5.0, "mine": "kept"})
    (answer,) = degrade(degrader, document, reduction="2", recipe="photo")
    assert opened(answer).size == (20, 15)
    record = answer.tags["degrade"]
    assert (record["seed"], record["recipe"], record["reduction"]) == (5, "photo", 2)
    assert answer.tags["mine"] == "kept"
    (again,) = degrade(
        degrader, Document(blob=png(size=(41, 30))), reduction=2, recipe="photo", seed=5
    )
    assert again.blob == answer.blob


def test_a_seed_is_drawn_and_told(degrader: Degrader) -> None:
    first, second = degrade(degrader, *(Document(blob=png(size=(64, 64))) for _ in range(2)))
    seeds = [doc.tags["degrade"]["seed"] for doc in (first, second)]
    assert seeds[0] != seeds[1]
    (again,) = degrade(degrader, Document(blob=png(size=(64, 64))), seed=seeds[0])
    assert again.blob == first.blob


def test_a_tensor_is_an_image_too(degrader: Degrader) -> None:
    tensor = np.full((16, 24, 3), 0.5, np.float32)
    (answer,) = degrade(degrader, Document(tensor=tensor), recipe="none", image_format="jpeg")
    assert opened(answer).size == (6, 4)
    assert answer.mime_type == "image/jpeg"
    assert answer.tensor is None


@pytest.mark.parametrize(
    ("document", "parameters", "code", "option"),
    [
        (Document(blob=png()), {"recipe": "rain"}, "OPTION", "recipe"),
        (Document(blob=png()), {"reduction": 17}, "OPTION", "reduction"),
        (Document(blob=png()), {"reduction": 1.5}, "OPTION", "reduction"),
        (Document(blob=png()), {"seed": -1}, "OPTION", "seed"),
        (Document(blob=png()), {"quality": 101}, "OPTION", "quality"),
        (Document(blob=png(size=(3, 40))), {}, "TOO_SMALL", None),
        (Document(blob=png(size=(700, 700))), {}, "PIXELS", None),
        (Document(), {}, "NO_IMAGE", "blob"),
    ],
)
def test_what_is_wrong_is_named(
    degrader: Degrader,
    document: Document,
    parameters: dict[str, Any],
    code: str,
    option: str | None,
) -> None:
    told = refusal(degrader, document, **parameters)
    assert (told["code"], told["option"]) == (code, option)


def test_a_bad_document_harms_no_other(degrader: Degrader) -> None:
    good, bad = degrade(degrader, Document(blob=png()), Document(blob=b"no image"))
    assert opened(good).size == (5, 3)
    assert bad.tags["error"]["code"]
    assert not bad.blob


def test_an_image_that_memory_never_holds_is_refused() -> None:
    small = Degrader(host_memory_mb=16)
    told = refusal(small, Document(blob=png(size=(600, 600))))
    assert told["code"] == "MEMORY"
    small.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """flows/degrade.yml on a free port."""
    service = launch_flow(tmp_path_factory.mktemp("degrade"), read_flow("degrade.yml"), {})
    yield ready(service)
    discard(service)


@pytest.mark.flow
@pytest.mark.parametrize("protocol", ["grpc", "http", "websocket"])
def test_the_flow_answers_over_every_protocol(service: Service, protocol: str) -> None:
    client = Client(host=f"{protocol.replace('websocket', 'ws')}://localhost:{service.port}")
    document = Document(blob=png(size=(40, 40)), tags={"seed": 1, "recipe": "jpeg"})
    (answer,) = client.post("/degrade", [document])
    assert opened(answer).size == (10, 10)
    assert answer.tags["degrade"]["recipe"] == "jpeg"


@pytest.mark.flow
def test_the_flow_takes_an_image_file_and_answers_with_one(service: Service) -> None:
    address = f"http://localhost:{service.port}/degrade?reduction=2&seed=3&image_format=png"
    with urlopen(Request(address, png(size=(40, 40)), method="POST")) as answer:
        record = json.loads(answer.headers["X-Degrade"])
        document = Document(blob=answer.read())
    assert (record["seed"], record["output_size"]) == (3, [20, 20])
    assert opened(document).size == (20, 20)
