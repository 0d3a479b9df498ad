"""Images of any size for a network that takes whole windows."""

from copy import deepcopy

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from superres.networks.pad_to_multiple import Windowed, pad_to_multiple


class Doubling(nn.Module):
    """Repeats pixels after one convolution; refuses sides that are not multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.register_buffer("table", torch.arange(4))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] % 8 == 0 and x.shape[3] % 8 == 0
        return interpolate(self.conv(x), scale_factor=2)


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_output_is_exactly_scale_times_the_input(width: int, height: int) -> None:
    with torch.inference_mode():
        output = Windowed(Doubling(), 2)(torch.rand(2, 3, height, width))
    assert output.shape == (2, 3, 2 * height, 2 * width)


@given(st.integers(5, 40), st.integers(5, 40))
def test_a_picture_is_continued_by_reflection(width: int, height: int) -> None:
    picture = torch.rand(1, 3, height, width)
    expected = pad(picture, (0, -width % 8, 0, -height % 8), mode="reflect")
    assert torch.equal(pad_to_multiple(picture, 8), expected)


def test_a_short_side_is_reflected_to_and_fro() -> None:
    column = torch.tensor([[0.0], [1.0], [2.0]])
    assert pad_to_multiple(column, 8)[:, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_a_single_pixel_is_repeated() -> None:
    assert pad_to_multiple(torch.full((1, 3, 1, 1), 0.25), 8).eq(0.25).all()


def test_whole_windows_are_not_continued() -> None:
    picture = torch.rand(1, 3, 16, 8)
    assert pad_to_multiple(picture, 8) is picture


def test_the_keys_are_those_of_the_network_inside() -> None:
    network = Doubling()
    assert list(Windowed(network, 2).state_dict()) == list(network.state_dict())


def test_the_state_of_the_network_inside_loads_strictly() -> None:
    network, wrapped = Doubling(), Windowed(Doubling(), 2)
    given = network.state_dict()
    wrapped.load_state_dict(given, strict=True)
    assert set(given) == {"conv.weight", "conv.bias", "table"}  # the caller's stays as it was
    assert torch.equal(wrapped.state_dict()["conv.weight"], network.conv.weight)


def test_missing_and_unexpected_keys_are_still_reported() -> None:
    state = Doubling().state_dict()
    state["other"] = state.pop("conv.bias")
    report = Windowed(Doubling(), 2).load_state_dict(state, strict=False)
    assert [key.rpartition("network.")[2] for key in report.missing_keys] == ["conv.bias"]
    assert [key.rpartition("network.")[2] for key in report.unexpected_keys] == ["other"]


def test_it_keeps_its_keys_inside_another_module_and_in_a_copy() -> None:
    nested = nn.ModuleList([Windowed(Doubling(), 2), nn.Conv2d(3, 3, 1)])
    copy = deepcopy(nested)
    assert {"0.conv.weight", "0.conv.bias", "0.table"} < set(nested.state_dict())
    copy.load_state_dict(nested.state_dict(), strict=True)
