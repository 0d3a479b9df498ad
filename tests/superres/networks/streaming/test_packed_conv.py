import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d

from superres.networks.streaming.packed_conv import Packed


def layer(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(inputs)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False)


@settings(max_examples=20, deadline=None)
@given(
    inputs=st.lists(st.sampled_from([1, 3, 16, 32, 64]), min_size=1, max_size=4),
    outputs=st.sampled_from([1, 3, 32, 48]),
    height=st.integers(3, 9),
    width=st.integers(1, 40),
    bias=st.booleans(),
)
def test_a_packed_layer_is_the_layer_of_its_inputs_side_by_side(
    inputs: list[int], outputs: int, height: int, width: int, bias: bool
) -> None:
    plain = layer(sum(inputs), outputs, bias)
    packed = Packed(plain, inputs)
    parts = [
        torch.rand(1, c, height, width).contiguous(memory_format=torch.channels_last)
        for c in inputs
    ]
    with torch.inference_mode():
        made = packed(*parts)
        expected = conv2d(torch.cat(parts, 1), plain.weight, plain.bias, padding=(0, 1))
    assert made.shape == expected.shape == (1, outputs, height - 2, width)
    assert (made - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_formats_that_cannot_be_packed_are_computed_as_they_are(dtype: torch.dtype) -> None:
    plain = layer(8, 4).to(dtype)
    packed = Packed(plain, [5, 3])
    x = torch.rand(1, 8, 5, 6).to(dtype)
    with torch.inference_mode():
        made = packed(*x.split([5, 3], 1))
        expected = conv2d(x, plain.weight, plain.bias, padding=(0, 1))
    assert not packed.weights
    assert torch.equal(made, expected)
