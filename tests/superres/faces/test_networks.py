"""The networks of face enhancement have the published parameters, on the device asked for."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from superres.faces import networks
from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()

META = torch.device("meta")  # shapes without values: nothing is initialised or allocated


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (networks.gfpgan, 86_444_252),
        (lambda: networks.retinaface(META), 27_293_600),
        (networks.parsenet, 21_303_254),
    ],
    ids=["GFPGAN", "RetinaFace", "ParseNet"],
)
def test_it_has_the_published_parameters(build: Callable[[], nn.Module], expected: int) -> None:
    with META:
        assert parameters(build()) == expected


def test_gfpgan_has_the_published_entries() -> None:
    with META:
        state = networks.gfpgan().state_dict()
    noises = [name for name in state if name.startswith("stylegan_decoder.noises.noise")]
    assert len(state) == 285 and len(noises) == 15
    assert next(iter(state)) == "conv_body_first.weight"
    assert state["conv_body_first.weight"].shape == (32, 3, 1, 1)
    assert state["condition_shift.6.2.bias"].shape == (32,)


def test_retinaface_has_every_tensor_on_its_device() -> None:
    network = networks.retinaface(META)
    own = [value for value in vars(network).values() if isinstance(value, torch.Tensor)]
    assert own, "RetinaFace used to keep its mean beside parameters and buffers"
    assert {t.device for t in (*own, *network.state_dict().values())} == {META}
    assert vars(network)["device"] == META


def test_retinaface_subtracts_the_mean_of_blue_green_and_red() -> None:
    mean: torch.Tensor = vars(networks.retinaface(torch.device("cpu")))["mean_tensor"]
    assert mean.flatten().tolist() == [104, 117, 123]


def test_parsenet_tells_nineteen_classes_apart() -> None:
    network = networks.parsenet().eval()
    with torch.inference_mode():
        scores, _ = network(torch.zeros(1, 3, 64, 64))
    assert scores.shape == (1, networks.CLASSES, 64, 64)
