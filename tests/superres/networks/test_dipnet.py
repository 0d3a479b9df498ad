from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, leaky_relu, max_pool2d, pixel_shuffle

from superres.model_spec import StateDict
from superres.networks.dipnet import MIN_SIDE, DIPNetNetwork


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in DIPNetNetwork().parameters()) == 243_252


def test_the_least_side_is_the_one_that_its_attention_needs() -> None:
    assert DIPNetNetwork()(torch.rand(1, 3, MIN_SIDE, MIN_SIDE)).shape == (
        1,
        3,
        4 * MIN_SIDE,
        4 * MIN_SIDE,
    )


def upscale_as_published(state: StateDict, x: Tensor) -> Tensor:
    """DIPNet as figures 2 and 3 of the paper draw it, layer by layer, nothing in place or fused."""

    def convolve(name: str, y: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return conv2d(y, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)

    def attend(name: str, y: Tensor) -> Tensor:
        near = convolve(f"{name}.conv1", y)
        coarse = max_pool2d(convolve(f"{name}.conv2", near, stride=2), 7, 3)
        coarse = convolve(f"{name}.conv3", coarse, padding=1)
        grid = interpolate(coarse, y.shape[2:], mode="bilinear", align_corners=False)
        return y * torch.sigmoid(convolve(f"{name}.conv4", convolve(f"{name}.conv_f", near) + grid))

    first = y = convolve("conv_1", x, padding=1)
    for number in range(1, 5):
        block = f"block_{number}"
        inner = y
        for layer in ("c1_r", "c2_r", "c3_r"):
            inner = leaky_relu(convolve(f"{block}.{layer}", inner, padding=1), 0.05)
        y = attend(f"{block}.esa", convolve(f"{block}.c5", inner + y))
    y = convolve("conv_2", y, padding=1) + first
    return pixel_shuffle(convolve("upsampler.0", y, padding=1), 4)


@pytest.mark.parametrize("size", [(15, 15), (16, 31), (40, 23)])
def test_it_computes_what_the_paper_draws(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = DIPNetNetwork().double().eval()
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(network(x), upscale_as_published(network.state_dict(), x))


@pytest.mark.weights
def test_with_the_published_weights_too(shared_data: Path) -> None:
    state = load_file(shared_data / "weights" / "DIPNet.safetensors")
    network = DIPNetNetwork().eval()
    network.load_state_dict(state)
    x = torch.rand(1, 3, 33, 50, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(x), upscale_as_published(state, x), atol=1e-4, rtol=0)
