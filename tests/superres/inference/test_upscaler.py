import threading
from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from superres.catalogue import CATALOGUE
from superres.errors import BadSetting, Cancelled, Failed, OutOfMemory
from superres.geometry import Size
from superres.inference.device import Device, find_device
from superres.inference.planning import plan_for_tile_size
from superres.inference.upscaler import NetworkUpscaler

LANCZOS = CATALOGUE["lanczos.x2"]
CPU = torch.device("cpu")
STREAMED = (
    "dipnet.x4",
    "realesrgan.x2plus",
    "realesrgan.anime-x4",
    "realesrgan.animevideo-x4",
    "lapsrn.x4",
)


@cache
def upscaler(name: str) -> NetworkUpscaler:
    """The model with random weights, the same at every call, streamed at any size."""
    torch.manual_seed(0)
    spec = CATALOGUE[name]
    if spec.stream:
        spec = replace(spec, stream=replace(spec.stream, min_pixels=0))
    return NetworkUpscaler(spec, spec.build(), Device(CPU))


class Fails(nn.Module):
    """Doubles an image as long as `breaks` does not say otherwise."""

    def __init__(self, breaks: str, limit: int = 0) -> None:
        super().__init__()
        self.breaks, self.limit = breaks, limit
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.shape[2] * x.shape[3]
        if self.breaks == "memory" and pixels > self.limit:
            raise torch.OutOfMemoryError
        out = nn.functional.interpolate(x * self.one, scale_factor=2)
        if self.breaks == "always" or (self.breaks == "half" and x.dtype != torch.float32):
            out[..., 0, 0] = torch.nan
        return out


def picture(width: int, height: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def doubled(pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return pixels.repeat(2, 0).repeat(2, 1)


def test_numbers_that_are_not_finite_are_computed_again_in_full_precision() -> None:
    pixels = picture(9, 7)
    made = NetworkUpscaler(LANCZOS, Fails("half"), Device(CPU, "bf16")).upscale(pixels)
    assert made.cost.redone == 1
    assert np.array_equal(made.pixels, doubled(pixels))


def test_a_network_that_never_gives_numbers_is_an_error_not_a_black_picture() -> None:
    with pytest.raises(Failed) as caught:
        NetworkUpscaler(LANCZOS, Fails("always"), Device(CPU)).upscale(picture(9, 7))
    assert caught.value.code == "NON_FINITE"


def test_running_out_of_memory_halves_the_tiles_and_gives_the_same_picture() -> None:
    pixels = picture(300, 200)
    subject = NetworkUpscaler(LANCZOS, Fails("memory", 6_000), Device(CPU))
    made = subject.upscale(pixels)
    assert made.cost.tiles > 1
    assert np.array_equal(made.pixels, doubled(pixels))


def test_the_tile_that_fitted_is_remembered() -> None:
    subject = NetworkUpscaler(LANCZOS, Fails("memory", 6_000), Device(CPU))
    subject.upscale(picture(300, 200))
    assert subject.max_tile_pixels is not None
    assert subject.plan(Size(300, 200)).tiles[0].outer.size.pixels <= 2 * 6_000


def test_memory_that_holds_no_tile_is_an_error() -> None:
    with pytest.raises(OutOfMemory):
        NetworkUpscaler(LANCZOS, Fails("memory", 10), Device(CPU)).upscale(picture(300, 200))


def test_what_was_made_before_memory_ran_out_is_kept() -> None:
    pixels = picture(40, 400)
    network = Fails("memory", 100_000)
    subject = NetworkUpscaler(LANCZOS, network, Device(CPU, memory=LANCZOS.bytes_per_pixel * 4_000))
    parts = []
    for rows in subject.stream(pixels):
        parts.append(rows)
        network.limit = 2_500
    assert len(parts) > 3
    assert len({len(rows) for rows in parts[1:-1]}) > 1
    assert np.array_equal(np.concatenate(parts), doubled(pixels))


@pytest.mark.parametrize("name", STREAMED, ids=str)
@pytest.mark.parametrize("shape", [(33, 47, 3), (50, 31, 1), (1, 1, 3), (2, 90, 3)], ids=str)
def test_streamed_rows_are_the_whole_picture(name: str, shape: tuple[int, ...]) -> None:
    subject = upscaler(name)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert subject.plan(Size(shape[1], shape[0])).rows
    streamed = subject.upscale(pixels)
    whole = subject.upscale(pixels, tile=10_000)
    assert streamed.pixels.shape == whole.pixels.shape
    assert abs(streamed.pixels.astype(int) - whole.pixels).max() <= 1


def test_a_stream_that_is_not_finite_is_computed_again_in_full_precision() -> None:
    spec = CATALOGUE["realesrgan.animevideo-x4"]
    torch.manual_seed(0)
    network = spec.build()
    pixels = picture(40, 30)
    expected = NetworkUpscaler(spec, deepcopy(network), Device(CPU)).upscale(pixels)
    # Beyond what fp16 holds, not beyond fp32; the second layer takes it back.
    first, second = network.body[0], network.body[2]  # type: ignore[index]
    with torch.no_grad():
        first.weight.mul_(2.0**18)
        first.bias.mul_(2.0**18)
        second.weight.mul_(2.0**-18)
    made = NetworkUpscaler(spec, network, Device(CPU, "fp16")).upscale(pixels)
    assert made.cost.redone
    assert abs(made.pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.parametrize("size", [(150, 97), (61, 200), (200, 16)], ids=str)
def test_a_model_that_sees_the_whole_picture_is_exact_in_tiles_too(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    spec = CATALOGUE["dipnet.x4"]
    subject = NetworkUpscaler(spec, spec.build(), Device(CPU))
    pixels = picture(*size)
    seen: list[tuple[int, int]] = []
    whole = subject.upscale(pixels, tile=10_000)
    tiled = subject.upscale(pixels, tile=60, progress=lambda *tiles: seen.append(tiles))
    assert whole.cost.tiles == 1 < tiled.cost.tiles
    assert abs(whole.pixels.astype(int) - tiled.pixels.astype(int)).max() <= 1
    total = 5 * tiled.cost.tiles
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_memory_bounds_the_tiles() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU, memory=2_000_000))
    assert subject.upscale(picture(200, 100)).cost.tiles > 1


def test_an_error_of_the_progress_ends_the_work_within_a_tile() -> None:
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU)).upscale(
            picture(100, 100), tile=20, progress=stop
        )
    assert seen == [1]


def test_a_small_picture_waits_for_a_tile_of_a_large_one_not_for_the_whole() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU))
    started, done_of_large = threading.Event(), [0]

    def note(done: int, total: int) -> None:
        done_of_large[0] = done
        started.set()

    large = threading.Thread(target=subject.upscale, args=(picture(400, 400), 16, None, note))
    large.start()
    started.wait(20)
    before = done_of_large[0]
    subject.upscale(picture(8, 8))
    waited = done_of_large[0] - before
    large.join()
    assert waited < 20 < done_of_large[0]


def test_grey_stays_grey_and_16_bits_stay_16_bits() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU))
    grey = np.full((5, 6, 1), 40_000, np.uint16)
    made = subject.upscale(grey).pixels
    assert made.shape == (10, 12, 1)
    assert (made == 40_000).all()


def test_an_unusable_device_is_named() -> None:
    with pytest.raises(BadSetting, match='"quantum"'):
        find_device("quantum")


def test_a_plan_that_was_made_before_is_carried_out() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU))
    pixels = picture(60, 40)
    plan = plan_for_tile_size(Size(60, 40), LANCZOS, 20, None)
    made = subject.stream(pixels, plan=plan).read_all()
    assert made.cost.tiles == len(plan.tiles) > 1
    assert np.array_equal(made.pixels, subject.upscale(pixels).pixels)


def test_a_plan_for_another_size_is_made_anew() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU))
    plan = plan_for_tile_size(Size(40, 60), LANCZOS, 20, None)
    made = subject.stream(picture(60, 40), plan=plan).read_all()
    assert made.pixels.shape[:2] == (40 * LANCZOS.scale, 60 * LANCZOS.scale)


def test_the_cost_tells_the_overlap() -> None:
    subject = NetworkUpscaler(LANCZOS, LANCZOS.build(), Device(CPU, memory=2_000_000))
    assert subject.upscale(picture(200, 100)).cost.overlap == LANCZOS.overlap
    asked = subject.upscale(picture(200, 100), overlap=11)
    assert asked.cost.overlap == 11 and asked.cost.tiles > 1
