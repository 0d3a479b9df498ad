"""spandrel's implementation of a network, behind naive tiling."""

import numpy as np
import torch

from benchmarks.peers.case import Case, Contender, Output, Run, Unavailable
from benchmarks.peers.tiles import Floats, in_tiles
from superres.networks.torchvision_compat import repair_torchvision

TILE, OVERLAP = 256, 16


def make(case: Case) -> Run:
    """Return the network that spandrel makes of the weights. Raises Unavailable."""
    repair_torchvision()
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise Unavailable("spandrel is not installed") from error
    try:
        model = ModelLoader(device="cpu").load_from_state_dict(dict(case.state))
    except UnsupportedModelError as error:
        raise Unavailable("spandrel does not know this network") from error
    assert isinstance(model, ImageModelDescriptor)
    model.eval()

    @torch.no_grad()
    def network(x: Floats) -> Floats:
        return np.asarray(model(torch.from_numpy(np.ascontiguousarray(x))))

    def run() -> Output:
        return in_tiles(network, case.pixels, case.spec.scale, TILE, OVERLAP)

    return run


CONTENDERS = (
    Contender("spandrel", f"spandrel, tiles of {TILE} with overlap {OVERLAP}, eager", make),
)
