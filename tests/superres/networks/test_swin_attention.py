"""The rearranged blocks compute what the packages' own blocks compute."""

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from superres.networks import swin_attention
from superres.networks.swin_attention import DOT, SHIFT, TOKENS, Blocks, inverse, portions, sorting
from superres.networks.torchvision_compat import repair_torchvision

# basicsr leaves the indexing of meshgrid open.
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")

SIDES = st.integers(1, 5).map(lambda windows: 8 * windows)


def shaken(network: nn.Module) -> nn.Module:
    """`network` with weights large enough that every part of it matters."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def layer() -> Any:
    repair_torchvision()
    from basicsr.archs.swinir_arch import BasicLayer

    torch.manual_seed(0)
    return shaken(BasicLayer(12, (64, 64), depth=3, num_heads=2, window_size=8, mlp_ratio=2))


@settings(max_examples=25)
@given(st.integers(1, 3), SIDES, SIDES, st.sampled_from([1, 2, 1000]))
@example(1, 8, 8, 1000)
@example(2, 64, 64, 5)
def test_they_compute_what_basicsr_computes(
    layer: Any, n: int, height: int, width: int, windows: int
) -> None:
    tokens = torch.randn(n, height * width, 12)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(swin_attention, "windows_at_once", lambda x: windows)
        output = Blocks(layer.blocks, DOT)(tokens, (height, width))
        torch.testing.assert_close(output, layer(tokens, (height, width)), atol=1e-4, rtol=1e-4)


def test_gradients_flow_through_them(layer: Any) -> None:
    tokens = torch.randn(1, 16 * 16, 12, requires_grad=True)
    ours = torch.autograd.grad(Blocks(layer.blocks, DOT)(tokens, (16, 16)).square().sum(), tokens)
    theirs = torch.autograd.grad(layer(tokens, (16, 16)).square().sum(), tokens)
    torch.testing.assert_close(ours, theirs, atol=1e-2, rtol=1e-3)


def test_the_state_dict_stays_what_it_was(layer: Any) -> None:
    assert list(Blocks(layer.blocks, DOT).state_dict()) == list(layer.state_dict())


@given(st.integers(1, 3), SIDES, SIDES, st.sampled_from([0, SHIFT]))
def test_sorting_takes_every_token_once(n: int, height: int, width: int, shift: int) -> None:
    order = sorting((n, height, width), shift, torch.zeros(0)).order
    assert torch.equal(order.sort().values, torch.arange(n * height * width))
    assert torch.equal(order[inverse(order)], torch.arange(n * height * width))


@given(st.integers(1, 3), SIDES, SIDES, st.sampled_from([0, SHIFT]), st.integers(1, 9))
def test_portions_follow_each_other(
    n: int, height: int, width: int, shift: int, windows: int
) -> None:
    to = sorting((n, height, width), shift, torch.zeros(0))
    end = 0
    for at, mask in portions(to, windows):
        assert at.start == end and 0 < at.stop - at.start <= windows * TOKENS
        assert (mask is None) == (at.stop <= to.whole * TOKENS)
        assert mask is None or len(mask) * TOKENS == at.stop - at.start
        end = at.stop
    assert end == n * height * width
