import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from superres.catalogue import CATALOGUE
from superres.inference.device import Device
from superres.model_loader import NetworkModel
from superres.weights.store import Store

EMBEDDED = ("bicubic_pp.x2", "bicubic_pp.x3", "bicubic_pp.x4")
colours = st.tuples(*3 * [st.integers(0, 255)])


@pytest.fixture(scope="module")
def models() -> dict[str, NetworkModel]:
    """The embedded models."""
    store = Store.from_environment(offline=True)
    return {n: NetworkModel(CATALOGUE[n], Device(torch.device("cpu")), store) for n in EMBEDDED}


@pytest.mark.parametrize("name", EMBEDDED)
@given(colour=colours, width=st.integers(1, 24), height=st.integers(1, 24))
def test_a_flat_patch_keeps_its_colour_exactly(
    models: dict[str, NetworkModel],
    name: str,
    colour: tuple[int, int, int],
    width: int,
    height: int,
) -> None:
    flat = np.full((height, width, 3), colour, np.uint8)
    made = models[name].upscaler().upscale(flat).pixels
    assert_array_equal(made, np.broadcast_to(flat[0, 0], made.shape))


@pytest.mark.parametrize("name", EMBEDDED)
def test_flat_16_bit_colours_are_kept_exactly_too(
    models: dict[str, NetworkModel], name: str
) -> None:
    draw = np.random.default_rng(0)
    for colour in draw.integers(0, 65536, (20, 3), dtype=np.uint16):
        made = models[name].upscaler().upscale(np.full((9, 7, 3), colour, np.uint16)).pixels
        assert_array_equal(made, np.broadcast_to(colour, made.shape))


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_darker_picture_gives_exactly_the_darker_result(
    models: dict[str, NetworkModel], name: str
) -> None:
    network = models[name].upscaler().network
    x = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(network(x / 4), network(x) / 4)
