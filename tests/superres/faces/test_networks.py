"""The networks of face enhancement have the published parameters, on the device asked for."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from superres.faces import networks
from superres.faces.enhancer import restore_face
from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()

META = torch.device("meta")  # shapes without values: nothing is initialised or allocated


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (networks.gfpgan, 86_444_252),
        (networks.restoreformer, 72_680_003),
        (lambda: networks.retinaface(META), 27_293_600),
        (networks.parsenet, 21_303_254),
    ],
    ids=["GFPGAN", "RestoreFormer", "RetinaFace", "ParseNet"],
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


@pytest.mark.parametrize(
    ("build", "brought", "side"),
    [
        (networks.restoreformer, "RestoreFormer", 64),
        pytest.param(networks.gfpgan, "GFPGAN", networks.FACE, marks=pytest.mark.slow),
    ],
    ids=["RestoreFormer", "GFPGAN"],
)
def test_it_computes_what_spandrel_computes(
    build: Callable[[], nn.Module], brought: str, side: int
) -> None:
    """spandrel recognizes the network by its tensors and has its own copy of the code."""
    spandrel = pytest.importorskip("spandrel", reason="spandrel is not installed")
    ours = make_random(build)
    theirs = spandrel.ModelLoader().load_from_state_dict(dict(ours.state_dict()))
    assert theirs.architecture.id == brought
    face = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        mine = restore_face(ours, face * 2 - 1)
        other = theirs.model.eval()(
            face * 2 - 1, **({"randomize_noise": False} if brought == "GFPGAN" else {})
        )[0]
    assert mine.shape == face.shape and float(mine.std()) > 1e-4
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def make_random(build: Callable[[], nn.Module]) -> nn.Module:
    """The network with small random numbers, without the time its own start values take."""
    with META:
        network = build()
    network = network.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.normal_(0, 0.03, generator=generator)
    return network


def test_restoreformer_says_nothing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with META:
        networks.restoreformer()
    assert capsys.readouterr().out == ""


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
