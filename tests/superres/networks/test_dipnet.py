import torch

from superres.networks.dipnet import MINIMUM, DIPNet


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in DIPNet().parameters()) == 243_252


def test_the_least_side_is_the_one_that_its_attention_needs() -> None:
    assert DIPNet()(torch.rand(1, 3, MINIMUM, MINIMUM)).shape == (1, 3, 4 * MINIMUM, 4 * MINIMUM)
