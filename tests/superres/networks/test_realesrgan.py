"""The networks have the parameters and keys of the published files, and compute the same."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from superres.networks import realesrgan
from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()
pytest.importorskip("spandrel", reason="spandrel is a development dependency")


@pytest.mark.parametrize(
    ("scale", "blocks", "parameters", "entries"),
    [(4, 23, 16_697_987, 702), (2, 23, 16_703_171, 702), (4, 6, 4_467_779, 192)],
)
def test_rrdb_has_the_published_parameters(
    scale: int, blocks: int, parameters: int, entries: int
) -> None:
    network = realesrgan.build_rrdb(scale, blocks)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


@pytest.mark.parametrize(
    ("convolutions", "parameters", "entries"), [(16, 621_424, 53), (32, 1_213_296, 101)]
)
def test_srvgg_has_the_published_parameters(
    convolutions: int, parameters: int, entries: int
) -> None:
    network = realesrgan.build_srvgg(convolutions)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


@pytest.mark.parametrize(
    "build",
    [
        partial(realesrgan.build_rrdb, 4, 2),
        partial(realesrgan.build_rrdb, 2, 2),
        partial(realesrgan.build_srvgg, 16),
    ],
    ids=["rrdb x4", "rrdb x2", "srvgg"],
)
def test_it_computes_what_an_independent_implementation_computes(
    build: Callable[[], nn.Module],
) -> None:
    from spandrel import ModelLoader

    torch.manual_seed(0)
    ours = build().eval()
    theirs = ModelLoader().load_from_state_dict(ours.state_dict()).model.eval()
    x = torch.rand(1, 3, 18, 14)
    with torch.inference_mode():
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_community_files_of_the_first_layout_fit() -> None:
    from spandrel import ModelLoader

    torch.manual_seed(0)
    ours = realesrgan.build_rrdb(4, 2).eval()
    numbered = ModelLoader().load_from_state_dict(ours.state_dict()).model.state_dict()
    assert "model.0.weight" in numbered
    again = realesrgan.build_rrdb(4, 2)
    again.load_state_dict(realesrgan.convert_rrdb(numbered))
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True)
    )
