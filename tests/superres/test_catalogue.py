"""What every row of the catalogue promises. A new row is tested without a new line here."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superres.catalogue import ROWS, find_model
from superres.catalogue.restorers import RESTORERS
from superres.errors import BadOption
from superres.geometry import Size
from superres.inference.device import Device
from superres.inference.tiling import make_tiles
from superres.inference.upscaler import NetworkUpscaler
from superres.model_spec import NetworkSpec
from superres.weights.store import ASSETS

LICENCES = {"Apache-2.0", "BSD-3-Clause", "MIT", "CC-BY-NC-SA-4.0", "none stated"}
GPU = torch.cuda.is_available()
ALL = (*ROWS, *RESTORERS.values())
BY_NAME = {spec.name: spec for spec in ALL}
rows = pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
# Rows that differ in their weights alone are one architecture: random weights test it once.
BUILDS = {str(spec.build): spec for spec in reversed(ALL)}
# One architecture of each system and speed stands for those that differ in a number only.
KINDS = {(spec.system, spec.speed, spec.scale == 1): spec for spec in reversed(ALL)}
architectures = pytest.mark.parametrize("spec", BUILDS.values(), ids=lambda spec: spec.name)
kinds = pytest.mark.parametrize("spec", KINDS.values(), ids=lambda spec: spec.name)


@cache
def upscaler(name: str, device: str = "cpu", precision: str = "fp32") -> NetworkUpscaler:
    """The model with random weights, the same at every call."""
    torch.manual_seed(0)
    spec = BY_NAME[name]
    return NetworkUpscaler(spec, spec.build(), Device(torch.device(device), precision))  # type: ignore[arg-type]


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """Soft waves with sharp edges and some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5 + c) + np.cos(y / (4 + c)) for c in range(3)], -1) * 50 + 128
    noise = np.random.default_rng(0).integers(-20, 20, (height, width, 3))
    return np.clip(waves + noise + (x > width // 2)[..., None] * 30, 0, 255).astype(np.uint8)


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(ALL)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadOption, match=r"bicubic_pp\.x3, .*realesrgan\.x4plus"):
        find_model("esrgan")


@rows
def test_a_name_is_architecture_and_weights(spec: NetworkSpec) -> None:
    assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9-]+", spec.name)


@rows
def test_weights_say_where_they_come_from_and_who_may_use_them(spec: NetworkSpec) -> None:
    for weights in spec.weights:
        assert weights.licence in LICENCES
        assert weights.embedded or weights.url.startswith("https://")  # type: ignore[union-attr]
        assert weights.sha256 is None or re.fullmatch("[0-9a-f]{64}", weights.sha256)
        assert not weights.embedded or (ASSETS / weights.file).is_file()


@architectures
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (17, 9)], ids=str)
def test_the_output_is_exactly_scale_times_the_input(
    spec: NetworkSpec, size: tuple[int, int]
) -> None:
    width, height = size
    made = upscaler(spec.name).upscale(picture(width, height)).pixels
    assert made.shape == (height * spec.scale, width * spec.scale, 3)


@kinds
def test_tiles_give_the_whole_picture_within_one_step(spec: NetworkSpec) -> None:
    step = max(4 * spec.input_size.multiple_of, 2 * spec.align, spec.overlap)
    tile = 2 * spec.overlap + step
    pixels = picture(tile + step // 2 + 3, 9)
    assert len(make_tiles(Size(pixels.shape[1], 9), spec, Size(tile, tile))) > 1
    subject = upscaler(spec.name)
    whole = subject.upscale(pixels, tile=10_000).pixels.astype(int)
    tiled = subject.upscale(pixels, tile=tile).pixels.astype(int)
    assert abs(whole - tiled).max() <= 1


@architectures
def test_the_least_side_and_multiple_are_true_and_minimal(spec: NetworkSpec) -> None:
    network = upscaler(spec.name).network
    multiple = max(spec.input_size.multiple_of, spec.input_size.minimum)
    assert output_side(network, multiple) == multiple * spec.scale
    for side in range(max(1, multiple - spec.input_size.multiple_of), multiple):
        if side % spec.input_size.multiple_of or side < spec.input_size.minimum:
            assert output_side(network, side) != side * spec.scale


def output_side(network: torch.nn.Module, side: int) -> int | None:
    """The side of the result for a square input, or None where the network cannot take it."""
    try:
        with torch.inference_mode():
            result = network(torch.rand(1, 3, side, side))
    except (RuntimeError, AssertionError):
        return None
    return int(result.shape[-1])


@kinds
def test_the_same_picture_gives_the_same_result(spec: NetworkSpec) -> None:
    subject, pixels = upscaler(spec.name), picture(24, 17)
    assert np.array_equal(subject.upscale(pixels).pixels, subject.upscale(pixels).pixels)


@architectures
@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="no CUDA device on this machine")
def test_half_precision_stays_close_to_full(spec: NetworkSpec) -> None:
    pixels = picture(64, 48)
    full = upscaler(spec.name).upscale(pixels).pixels.astype(float)
    half = upscaler(spec.name, "cuda", "fp16").upscale(pixels).pixels.astype(float)
    assert 20 * np.log10(255 / (np.sqrt(np.mean((full - half) ** 2)) + 1e-9)) > 50
