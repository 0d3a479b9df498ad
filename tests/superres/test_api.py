"""The three functions and the names that `superres` exports."""

import importlib
import inspect
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import superres
from superres.catalogue import ROWS


@pytest.fixture(scope="module")
def model() -> Any:
    return superres.load("lanczos.x2", device="cpu")


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_array_gives_an_array_of_its_type(model: Any, channels: int, dtype: type) -> None:
    made = superres.upscale(noise(9, 14, channels, dtype=dtype), model)
    assert made.shape == (18, 28, channels) and made.dtype == dtype


def test_an_array_is_upscaled_as_the_upscaler_does(model: Any) -> None:
    pixels = noise(20, 30, 3)
    assert np.array_equal(superres.upscale(pixels, model), model.upscale(pixels).pixels)
    flat = superres.upscale(pixels[..., 0], model)
    assert flat.shape == (40, 60, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_an_image_of_pillow_gives_one(model: Any, mode: str) -> None:
    image = Image.fromarray(noise(10, 12, 3)).convert(mode)
    made = superres.upscale(image, model)
    assert made.size == (24, 20)
    assert made.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_gives_a_file_of_its_format(model: Any, tmp_path: Path, kind: str) -> None:
    Image.fromarray(noise(10, 12, 3)).save(tmp_path / "photo", kind)
    for given in (tmp_path / "photo", (tmp_path / "photo").read_bytes()):
        with Image.open(BytesIO(superres.upscale(given, model, scale="18:-1"))) as made:
            assert (made.format, made.size) == (kind, (18, 15))


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (noise(4, 4, 5), "SHAPE"),
        (np.zeros((4, 4, 3)), "DTYPE"),
        (np.zeros((0, 4, 3), np.uint8), "SHAPE"),
        (Image.new("I;16", (4, 4)), "MODE"),
        (b"no image", "UNDECODABLE"),
    ],
    ids=["channels", "floats", "empty", "mode", "bytes"],
)
def test_what_is_no_image_is_refused_with_a_code(model: Any, image: Any, code: str) -> None:
    with pytest.raises(superres.BadImage) as error:
        superres.upscale(image, model)
    assert error.value.code == code


def test_an_unknown_model_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(superres.BadOption, match=r"bicubic_pp\.x3"):
        superres.upscale(noise(4, 4, 3), "esrgan")


def test_models_lists_every_row_once() -> None:
    names = [spec.name for spec in superres.models()]
    assert len(names) == len(set(names)) == len(ROWS) + 1
    assert "stable_diffusion.x4" in names


def test_every_exported_name_is_there_and_documented() -> None:
    for name in superres.__all__:
        found = getattr(superres, name)
        assert name in dir(superres)
        if inspect.isfunction(found):
            assert "Args:" in found.__doc__ or not inspect.signature(found).parameters
    assert not hasattr(superres, "nothing")
    typing = importlib.import_module("typing")
    assert not typing.TYPE_CHECKING


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import superres, sys; print({'torch', 'numpy', 'PIL'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
