import pytest
import torch
from torch import nn

from superres.networks.bicubic_pp import BicubicPPNetwork
from superres.networks.dipnet import DIPNetNetwork
from superres.networks.subpixel import SubpixelNetwork, compute_sorted_levels, shuffle_pixels

NETWORKS = {
    "bicubic++ x2": (BicubicPPNetwork(2), 4),
    "bicubic++ x3": (BicubicPPNetwork(3), 6),
    "dipnet": (DIPNetNetwork(), 4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_subpixels_are_the_network_before_its_shuffle(name: str) -> None:
    network, factor = NETWORKS[name]
    assert isinstance(network, SubpixelNetwork)
    x = torch.rand(2, 3, 18, 20).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(x) * 255
        values = network.subpixels(x, 255)
    made = shuffle_pixels(values, factor).permute(0, 3, 1, 2)
    assert made.shape == expected.shape
    assert (made - expected).abs().max() <= 1e-3


def test_a_bias_is_sorted_with_its_channels() -> None:
    layer, x = nn.Conv2d(4, 12, 3, padding=1), torch.rand(1, 4, 5, 6)
    with torch.inference_mode():
        expected = nn.functional.pixel_shuffle(layer(x), 2) * 7
        made = shuffle_pixels(compute_sorted_levels(x, layer, 7), 2).permute(0, 3, 1, 2)
    assert (made - expected).abs().max() <= 1e-5
