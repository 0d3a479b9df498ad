from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from superres.catalogue import CATALOGUE
from superres.errors import Failed
from superres.geometry import Box, Size
from superres.image.frame import Pixels
from superres.inference.batch_runner import BatchRunner, TileInput, TileResult
from superres.inference.device import Device
from superres.inference.quantize import PixelFormat, crop_output, quantize, to_pixels, to_tensor
from superres.networks.bicubic_pp import BicubicPPNetwork

CPU = torch.device("cpu")
LANCZOS = CATALOGUE["lanczos.x2"]
FORMATS = [(np.uint8, 3), (np.uint8, 1), (np.uint16, 3), (np.uint16, 1)]


class Doubles(nn.Module):
    """Every pixel becomes four; `breaks` says in which number formats one becomes NaN."""

    def __init__(self, *breaks: torch.dtype) -> None:
        super().__init__()
        self.breaks = breaks
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, *added: Tensor) -> Tensor:
        out = nn.functional.interpolate(x * self.one, scale_factor=2)
        for more in added:
            out = out + more
        if x.dtype in self.breaks:
            out[:, 0, 2, 2] = torch.nan
        return out


def noise(width: int, height: int, dtype: Any = np.uint8, channels: int = 3) -> Pixels:
    full = np.iinfo(dtype).max
    made = np.random.default_rng(0).integers(0, full + 1, (height, width, channels))
    return made.astype(dtype)


def doubled(pixels: Pixels) -> NDArray[Any]:
    return pixels.repeat(2, 0).repeat(2, 1)


def made_of(runner: BatchRunner, part: TileInput) -> TileResult:
    with runner.device.scheduler.open_queue() as line:
        return line.submit(runner.make_task(part)).result(20)


@pytest.mark.parametrize(("dtype", "channels"), FORMATS)
@pytest.mark.parametrize("optimize", ["auto", "none"])
def test_the_kept_pixels_come_back_in_the_format_of_the_tile(
    dtype: Any, channels: int, optimize: Any
) -> None:
    runner = BatchRunner(LANCZOS, Doubles(), Device(CPU, optimize=optimize))
    pixels = noise(9, 7, dtype, channels)
    made = made_of(runner, TileInput(pixels, Box(3, 1, 17, 12)))
    assert made.pixels.dtype == dtype and made.pixels.flags.c_contiguous
    assert np.array_equal(made.pixels, doubled(pixels)[1:12, 3:17])
    assert not made.redone and made.seconds > 0


@pytest.mark.parametrize("pixels", [noise(20, 20)[3:9, 4:12], noise(8, 6)], ids=["part", "sealed"])
def test_tiles_may_be_parts_of_pictures_and_may_not_be_written(pixels: Pixels) -> None:
    pixels.flags.writeable = False
    made = made_of(
        BatchRunner(LANCZOS, Doubles(), Device(CPU)), TileInput(pixels, Box(0, 0, 16, 12))
    )
    assert np.array_equal(made.pixels, doubled(pixels))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_tile_that_is_not_finite_is_computed_again_in_full_precision(precision: Any) -> None:
    runner = BatchRunner(LANCZOS, Doubles(torch.float16, torch.bfloat16), Device(CPU, precision))
    pixels = noise(9, 7)
    made = made_of(runner, TileInput(pixels, Box(0, 0, 18, 14)))
    assert made.redone and np.array_equal(made.pixels, doubled(pixels))


def test_what_is_not_kept_need_not_be_finite() -> None:
    runner = BatchRunner(LANCZOS, Doubles(torch.float32), Device(CPU))
    made_of(runner, TileInput(noise(9, 7), Box(4, 0, 18, 14)))
    with pytest.raises(Failed) as caught:
        made_of(runner, TileInput(noise(9, 7), Box(2, 0, 18, 14)))
    assert caught.value.code == "NON_FINITE" and LANCZOS.name in str(caught.value)


def test_full_precision_leaves_the_network_as_it_is() -> None:
    runner = BatchRunner(LANCZOS, Doubles(), Device(CPU, "bf16"))
    full = runner.copy_in_fp32()
    assert {p.dtype for p in full.parameters()} == {torch.float32}
    assert {p.dtype for p in runner.network.parameters()} == {torch.bfloat16}
    exact = BatchRunner(LANCZOS, Doubles(), Device(CPU))
    assert exact.copy_in_fp32() is exact.network


def test_grids_reach_the_network_in_the_number_format_of_the_tile() -> None:
    seen: list[torch.dtype] = []

    def grids(x: Tensor) -> list[Tensor]:
        seen.append(x.dtype)
        return [torch.full((1, 3, 4, 6), 0.5, dtype=x.dtype)]

    runner = BatchRunner(LANCZOS, Doubles(torch.bfloat16), Device(CPU, "bf16"))
    part = TileInput(np.zeros((2, 3, 3), np.uint8), Box(0, 0, 6, 4), grids)
    assert runner.make_task(part).key is None
    assert (made_of(runner, part).pixels == 128).all()
    assert seen == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize(
    "keep", [Box(0, 0, 24, 16), Box(5, 3, 23, 15), Box(12, 12, 24, 24)], ids=str
)
@pytest.mark.parametrize(("dtype", "channels"), FORMATS)
def test_pixels_shuffled_as_whole_numbers_are_those_of_the_network(
    scale: int, keep: Box, dtype: Any, channels: int
) -> None:
    torch.manual_seed(0)
    network = BicubicPPNetwork(scale)
    runner = BatchRunner(CATALOGUE[f"bicubic_pp.x{scale}"], network, Device(CPU))
    assert runner.subpixels
    pixels = noise(14, 12, dtype, channels)
    with torch.inference_mode():
        whole = to_pixels(network(to_tensor(pixels, CPU)), pixels.dtype, channels)
    expected = whole[keep.top : keep.bottom, keep.left : keep.right]
    got = made_of(runner, TileInput(pixels, keep)).pixels
    assert got.shape == expected.shape
    assert abs(got.astype(int) - expected).max() <= (1 if dtype == np.uint8 else 2)


def test_a_cpu_computes_tiles_one_by_one() -> None:
    runner = BatchRunner(LANCZOS, Doubles(), Device(CPU))
    assert runner.max_batch_size(Size(8, 8)) == 1
    part = TileInput(noise(8, 8), Box(0, 0, 16, 16))
    assert len(list(runner.run([part, part]))) == 2  # type: ignore[arg-type] # no Pending here


def test_warming_up_computes_a_tile_of_the_size() -> None:
    seen: list[tuple[int, ...]] = []
    network = Doubles()
    network.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    BatchRunner(LANCZOS, network, Device(CPU)).warm_up(Size(12, 8))
    assert seen == [(1, 3, 8, 12)]


# Numbers


@pytest.mark.parametrize(("dtype", "channels"), FORMATS)
def test_levels_survive_the_way_to_numbers_and_back(dtype: Any, channels: int) -> None:
    pixels = noise(300, 200, dtype, channels)
    assert np.array_equal(to_pixels(to_tensor(pixels, CPU), np.dtype(dtype), channels), pixels)


def test_every_level_is_its_share_of_the_highest() -> None:
    for dtype in (np.uint8, np.uint16):
        full = np.iinfo(dtype).max
        levels = np.arange(full + 1).astype(dtype)[None, :, None]
        x = to_tensor(levels, CPU)
        assert x.shape == (1, 3, 1, full + 1)
        assert torch.equal(x[0, 0, 0], torch.arange(full + 1) / full)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_are_rounded_to_even_and_clamped(layout: Any, number: Any, dtype: Any) -> None:
    full = PixelFormat(np.dtype(dtype), 3).max_level
    values = (torch.rand(2, 3, 70, 2000) * 1.4 - 0.2).to(number).contiguous(memory_format=layout)
    values[0, 0, 0, :4] = torch.tensor([0.5, 1.5, -9.0, 9e4]) / full
    levels, finite = quantize(values[..., 1:], full, np.dtype(dtype))
    scaled = values[..., 1:].float().numpy().transpose(0, 2, 3, 1) * np.float32(full)
    assert np.array_equal(levels.numpy(), np.clip(np.rint(scaled), 0, full).astype(dtype))
    assert finite.tolist() == [True, True]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_number_that_is_not_finite_is_found(bad: float) -> None:
    values = torch.rand(3, 3, 40, 5000)
    values[1, 2, 39, 4999] = bad
    assert quantize(values, 255, np.dtype(np.uint8))[1].tolist() == [True, False, True]


def test_what_is_kept_is_contiguous() -> None:
    levels = torch.arange(4 * 6 * 3, dtype=torch.uint8).view(4, 6, 3)
    part = crop_output(levels, Box(1, 2, 5, 4))
    assert part.is_contiguous() and torch.equal(part, levels[2:4, 1:5])
