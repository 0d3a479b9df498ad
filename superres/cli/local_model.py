"""The model that does the work on this machine, as options name it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contract.model_choice import is_automatic
from superres.api import DEFAULT_MODEL
from superres.catalogue import find_model
from superres.cli.automatic import choose_automatically
from superres.custom.detect import detect_network
from superres.errors import BadOption, BadSetting
from superres.inference.device import Device, find_device
from superres.model_loader import NetworkModel
from superres.model_spec import NetworkSpec
from superres.weights.store import Store

__all__ = ["choose_model", "explain_missing_packages", "load_model"]


def choose_model(
    name: str | None, weights: Path | None, store: Store, face_enhance: bool = False
) -> NetworkSpec:
    """Choose a network.

    Args:
        name: Of the catalogue, or auto and a preference; None for the default.
        weights: A file of the user's own instead.
        store: Where weights are.
        face_enhance: Whether an automatic choice must take faces.

    Returns:
        The row of the model.

    Raises:
        BadOption: There is no such model, or both are given.
    """
    if weights and name:
        raise BadOption("--weights", weights, "no --model beside it")
    if weights:
        return detect_network(weights)
    name = name or DEFAULT_MODEL
    if is_automatic(name):
        name = choose_automatically(name, replace(store, offline=True), face_enhance)
    return find_model(name)


def load_model(spec: NetworkSpec, device: str, store: Store, weights: Path | None) -> NetworkModel:
    """Load a network's weights onto a device: auto, cpu, mps, cuda or cuda:N."""
    return NetworkModel(spec, Device(find_device(device)), store, weights)


@contextmanager
def explain_missing_packages(spec: NetworkSpec) -> Iterator[None]:
    """Turn the lack of a model's packages into an error that names the remedy.

    Args:
        spec: The model.

    Yields:
        None: Nothing.

    Raises:
        BadSetting: A package is missing.
    """
    try:
        yield
    except ImportError as error:
        message = f"model {spec.name}: {error}; install the requirements file of {spec.system}"
        raise BadSetting(message, option="--model") from error
