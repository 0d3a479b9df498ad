import torch

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
