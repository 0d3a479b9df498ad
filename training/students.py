"""The networks that are trained: how each starts, and what is exported of it."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from superres.model_spec import StateDict
from superres.networks.dipnet import DIPNetNetwork
from superres.networks.realesrgan import build_srvgg
from superres.weights.store import load_state_dict, read_state_dict
from training.flat import FlatExact
from training.recipe import StudentSettings
from training.teacher import Teacher


class Student(nn.Module):
    """A network under training and the weights of the product's network that it stands for."""

    def __init__(self, network: nn.Module, export: Callable[[nn.Module], StateDict]) -> None:
        super().__init__()
        self.network = network
        self._export = export

    def forward(self, x: Tensor) -> Tensor:
        """Compute (n, 3, scale·h, scale·w) of (n, 3, h, w)."""
        return self.network(x)  # type: ignore[no-any-return]

    def export(self) -> StateDict:
        """Return the weights in fp32."""
        state = self._export(self.network)
        return {key: value.detach().contiguous().cpu().float() for key, value in state.items()}


def make_student(settings: StudentSettings, teacher: Teacher | None, start: Path | None) -> Student:
    """Build the network that a recipe names, at its start.

    Args:
        settings: What it is.
        teacher: Whose layers a compact network takes where there is no `start`.
        start: Weights to go on from.

    Returns:
        The student, on the CPU.
    """
    if settings.network == "compact":
        return _make_compact(settings, teacher, start)
    if settings.network == "bicubic_pp":
        return _make_bicubic_pp(settings.scale, start)
    return _make_dipnet(start)


def _make_compact(
    settings: StudentSettings, teacher: Teacher | None, start: Path | None
) -> Student:
    """Return a compact network of the teacher's first and last layer and layers between, evenly
    chosen.
    """
    network = build_srvgg(settings.convolutions, settings.scale, settings.features)
    if start is not None:
        state = read_state_dict(start)
        state = reduce_last_layer(lengthen(state, settings.convolutions), settings.scale)
        load_state_dict(network, state, start)
    elif teacher is not None:
        network.load_state_dict(thin_out(teacher.state, settings.convolutions))
    else:
        initialize(network)
    if settings.trainable == "last":
        network.requires_grad_(False)
        network.body[-1].requires_grad_(True)  # type: ignore[index, union-attr]
    return Student(network, nn.Module.state_dict)


def initialize(network: nn.Module) -> None:
    """Initialize convolutions with PReLU so that signals keep their size through all layers.

    PyTorch's own start shrinks them by about 0.6 a layer: a plain stack of ten then hardly learns.
    The last layer begins near zero, and the network near interpolation.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.

    Args:
        network: Whose convolutions are changed in place.
    """
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        nn.init.kaiming_normal_(layer.weight, a=0.25)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        convolutions[-1].weight.mul_(0.05)


def thin_out(state: StateDict, convolutions: int) -> StateDict:
    """Keep some inner layers of a compact network.

    Args:
        state: Of a network whose `body` is convolution, activation, …, convolution.
        convolutions: Inner convolutions to keep, at even distances.

    Returns:
        The state dict of the shorter network.
    """
    last = _find_last_layer(state)
    inner = (last - 2) // 2
    kept = [round((i + 1) * (inner + 1) / (convolutions + 1)) for i in range(convolutions)]
    sources = [0, 1, *(2 * layer + part for layer in kept for part in (0, 1)), last]
    return {
        f"body.{number}.{kind}": state[f"body.{source}.{kind}"]
        for number, source in enumerate(sources)
        for kind in ("weight", "bias")
        if f"body.{source}.{kind}" in state
    }


def lengthen(state: StateDict, convolutions: int) -> StateDict:
    """Add inner layers that change nothing, before the last layer.

    Args:
        state: Of a compact network.
        convolutions: Inner convolutions of the result, at least as many as there are.

    Returns:
        The state dict of a network that computes the same.
    """
    last = _find_last_layer(state)
    features = state["body.0.weight"].shape[0]
    longer = {key: value for key, value in state.items() if not key.startswith(f"body.{last}.")}
    target = 2 * convolutions + 2
    for layer in range(last, target, 2):
        longer[f"body.{layer}.weight"] = nn.init.dirac_(torch.empty(features, features, 3, 3))
        longer[f"body.{layer}.bias"] = torch.zeros(features)
        longer[f"body.{layer + 1}.weight"] = torch.ones(features)  # PReLU of slope 1
    for kind in ("weight", "bias"):
        longer[f"body.{target}.{kind}"] = state[f"body.{last}.{kind}"]
    return longer


def _find_last_layer(state: StateDict) -> int:
    return max(int(key.split(".")[1]) for key in state)


def reduce_last_layer(state: StateDict, scale: int) -> StateDict:
    """Return the weights for a smaller scale: the mean of the pixels that become one.

    Args:
        state: Of a compact network of a scale that `scale` divides.
        scale: Wanted.

    Returns:
        The state dict whose network gives the area-averaged output of the first.
    """
    last = f"body.{_find_last_layer(state)}"
    weight, bias = state[f"{last}.weight"].float(), state[f"{last}.bias"].float()
    side = round((len(bias) // 3) ** 0.5)
    step = side // scale
    shape = (3, scale, step, scale, step)
    mean_weight = weight.view(*shape, *weight.shape[1:]).mean(dim=(2, 4)).flatten(0, 2)
    mean_bias = bias.view(*shape).mean(dim=(2, 4)).flatten()
    return {**state, f"{last}.weight": mean_weight, f"{last}.bias": mean_bias}


def _make_bicubic_pp(scale: int, start: Path | None) -> Student:
    """Return a Bicubic++ that keeps flat colours; without `start` it is bicubic interpolation."""
    network = FlatExact(scale)
    if start is not None:
        for key, value in read_state_dict(start).items():
            network.free[key.removesuffix(".weight")].data.copy_(value)
    return Student(network, lambda trained: trained.weights())  # type: ignore[operator, no-any-return]


def _make_dipnet(start: Path | None) -> Student:
    network = DIPNetNetwork()
    if start is not None:
        load_state_dict(network, read_state_dict(start), start)
    return Student(network, nn.Module.state_dict)
