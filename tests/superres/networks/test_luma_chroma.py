import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evaluation.protocol import luma
from superres.image.imresize import resize_matrix
from superres.networks.lapsrn import LapSRNNetwork
from superres.networks.luma_chroma import (
    BicubicUpscaler,
    LumaNetwork,
    LumaUpscaler,
    ReducedNetwork,
    mirror_pad,
    wrap_keys,
)

sides = st.integers(1, 9)


class BicubicLuma(LumaNetwork):
    """The plainest luma network: with it the wrapper is bicubic interpolation of RGB."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.bicubic = BicubicUpscaler(scale)
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        made: Tensor = self.bicubic(x)
        return made


def random_network(scale: int) -> LapSRNNetwork:
    torch.manual_seed(scale)
    return LapSRNNetwork(scale, 2).eval()


def imresize(x: Tensor, height: int, width: int) -> Tensor:
    """`x` as the measuring protocol resizes, in double precision."""
    rows = torch.from_numpy(resize_matrix(x.shape[2], height))
    columns = torch.from_numpy(resize_matrix(x.shape[3], width))
    return torch.einsum("yh,nchw,xw->ncyx", rows, x.double(), columns)


@pytest.mark.parametrize(("up", "down"), [(2, 1), (3, 1), (4, 1), (8, 1), (3, 4), (1, 2), (5, 8)])
@given(height=sides, width=sides)
def test_bicubic_is_that_of_matlab(up: int, down: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, height * down, width * down)
    made = BicubicUpscaler(up, down)(x)
    assert made.shape == (2, 3, height * up, width * up)
    assert (made - imresize(x, height * up, width * up)).abs().max() < 1e-5


def test_mirrored_turns_as_often_as_needed() -> None:
    line = torch.tensor([1, 2, 3])[None]
    assert mirror_pad(line, 1, 4, 5)[0].tolist() == [3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1, 2]
    assert mirror_pad(line[:, :1], 1, 2, 2)[0].tolist() == [1] * 5


@given(height=sides, width=sides, scale=st.sampled_from([2, 3, 4]))
def test_colour_goes_there_and_back_unrounded(height: int, width: int, scale: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, height, width)
    made = LumaUpscaler(BicubicLuma(scale))(x)
    wanted = imresize(x, height * scale, width * scale).clamp(0, 1)
    assert (made - wanted).abs().max() < 1e-5


def test_the_network_sees_studio_range_luma() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    network = BicubicLuma(2)
    LumaUpscaler(network)(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    assert network.seen is not None
    assert np.allclose(network.seen[0, 0].numpy() * 255, luma(pixels), atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_grey_stays_exactly_grey(scale: int, dtype: torch.dtype) -> None:
    network = ReducedNetwork(random_network(4), 3) if scale == 3 else random_network(scale)
    grey = torch.arange(256).reshape(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    made = LumaUpscaler(network).to(dtype)(grey.to(dtype))
    assert torch.equal(made[:, :1].expand_as(made), made)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.8, 0.4, 0.1)], ids=str)
def test_a_patch_keeps_its_hue(scale: int, colour: tuple[float, float, float]) -> None:
    patch = torch.tensor(colour)[None, :, None, None].expand(1, 3, 12, 12)
    made = LumaUpscaler(BicubicLuma(scale))(patch)
    assert (made - patch[:, :, :1, :1]).abs().max() < 1e-5
    hue = colorsys.rgb_to_hsv(*made[0, :, 5, 5].tolist())[0]
    difference = abs(hue - colorsys.rgb_to_hsv(*colour)[0])
    assert min(difference, 1 - difference) < 1e-4


def test_the_result_lies_between_black_and_white() -> None:
    edges = (torch.rand(1, 3, 20, 20, generator=torch.manual_seed(0)) > 0.5).float()
    made = LumaUpscaler(BicubicLuma(4))(edges)
    assert made.min() == 0 and made.max() == 1


def test_the_input_is_left_as_it_was() -> None:
    x = torch.rand(1, 3, 6, 5, generator=torch.manual_seed(0))
    before = x.clone()
    LumaUpscaler(random_network(2))(x)
    assert torch.equal(x, before)


@settings(max_examples=12)
@given(height=sides, width=sides)
def test_reduced_is_matlabs_reduction_of_the_larger_result(height: int, width: int) -> None:
    network = random_network(4)
    luma_plane = torch.rand(1, 1, height, width, generator=torch.manual_seed(0))
    with torch.inference_mode():
        made = ReducedNetwork(network, 3)(luma_plane)
        wanted = imresize(network(luma_plane), 3 * height, 3 * width)
    assert made.shape == (1, 1, 3 * height, 3 * width)
    assert (made - wanted).abs().max() < 1e-5


def test_within_gives_the_keys_of_the_wrapped_network() -> None:
    inner = random_network(4)
    for wrapped, wrappers in (
        (LumaUpscaler(inner), 1),
        (LumaUpscaler(ReducedNetwork(inner, 3)), 2),
    ):
        assert wrap_keys(inner.state_dict(), wrappers).keys() == wrapped.state_dict().keys()
