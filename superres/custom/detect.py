"""What network a weights file holds, and the row that it would have in the catalogue."""

import re
from importlib.util import find_spec
from pathlib import Path

import torch

from superres.catalogue import CATALOGUE
from superres.custom.convolutional import detect_compact, detect_rrdb
from superres.custom.detected import Detected, Detector, Finding, Unsupported
from superres.custom.spandrel_models import detect_by_spandrel
from superres.custom.transformers import detect_swin2sr, detect_swinir
from superres.errors import WeightsMismatch
from superres.model_spec import NetworkSpec, StateDict
from superres.weights.store import read_state_dict

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".mat")
_DETECTORS: tuple[Detector, ...] = (detect_rrdb, detect_compact, detect_swin2sr, detect_swinir)


def detect_network(path: Path, name: str | None = None) -> NetworkSpec:
    """Read a weights file and make the row of its network.

    Args:
        path: A safetensors file or a torch checkpoint.
        name: Of the model; by default made of the file's stem.

    Returns:
        The row: streamed and tiled as the catalogue's are, its costs in proportion to theirs.

    Raises:
        WeightsMissing: There is no such file.
        WeightsCorrupt: It holds anything but tensors.
        WeightsMismatch: The network is none that can be computed here; the message says what it is.
    """
    state = read_state_dict(path)
    finding = find_network(state)
    if not isinstance(finding, Detected):
        finding = detect_by_spandrel(state, path) or finding
    if finding is None:
        names = ", ".join(list(state)[:3])
        raise WeightsMismatch(
            f'weights file "{path}" is of no network that is known here; its first tensors are '
            f"{names}{_suggest_spandrel()}"
        )
    if isinstance(finding, Unsupported):
        raise WeightsMismatch(
            f'weights file "{path}" is {finding.summary}: {finding.reason}{_suggest_spandrel()}'
        )
    return finding.make_spec(name or make_name(path))


def find_network(state: StateDict) -> Finding:
    """Find out which of our own architectures a state dict is of.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, why it is not computed, or None for any other architecture.
    """
    for detect in _DETECTORS:
        finding = detect(state)
        if finding is not None:
            return finding
    return None


def describe_file(state: StateDict) -> str | None:
    """Say in a few words what a state dict is, e.g. "RRDB x4, 6 blocks of 64 features"."""
    finding = find_network(state)
    return finding.summary if finding else None


def find_fitting_rows(state: StateDict) -> list[str]:
    """Find the rows of the catalogue whose networks have the tensors of a state dict.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        Names of models, none where no row of that architecture has these sizes.
    """
    finding = find_network(state)
    if not isinstance(finding, Detected):
        return []
    spec = finding.make_spec("own")
    wanted = _list_shapes(spec, state)
    return [
        row.name
        for row in CATALOGUE.values()
        if (row.system, row.scale) == (spec.system, spec.scale) and _list_shapes(row) == wanted
    ]


def _list_shapes(spec: NetworkSpec, state: StateDict | None = None) -> dict[str, torch.Size]:
    """Return the shapes of a row's tensors: those of `state`, else of the network."""
    if state is None:
        state = spec.build().state_dict()  # not on torch's "meta", where basicsr builds no SwinIR
    elif spec.convert:
        state = spec.convert(state)
    return {key: value.shape for key, value in state.items()}


def make_name(path: Path) -> str:
    """Make a model's name of a file's: letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "custom"


def _suggest_spandrel() -> str:
    """Return what an error adds where more networks would be known with another package."""
    if find_spec("spandrel") is not None:
        return ""
    return "; some forty more are known once requirements-community.txt is installed"
