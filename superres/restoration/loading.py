"""Chains of models on this machine: steps that are shipped, and weights files of one's own."""

from collections.abc import Sequence
from pathlib import Path

from contract.restoration import FACES, STEPS
from superres.catalogue.restorers import RESTORERS
from superres.custom.detect import WEIGHTS_SUFFIXES, detect_network
from superres.errors import BadOption
from superres.faces.enhancer import FaceEnhancer
from superres.inference.upscaler import Upscaler
from superres.model_loader import LoadedModel, NetworkModel
from superres.restoration.chained_model import Blending, make_chain
from superres.weights.store import Store

__all__ = ["DEFAULT_FACE_MODEL", "chain_steps"]

DEFAULT_FACE_MODEL = "gfpgan.v1.4"


def chain_steps(
    model: LoadedModel,
    steps: Sequence[str],
    blending: Blending,
    store: Store,
    face_model: str | None = None,
) -> Upscaler:
    """Put steps of restoration around a model.

    Args:
        model: That enlarges.
        steps: As contract.restoration.read_chain gives them; a weights file is a step too.
        blending: How much of the result counts.
        store: Where weights are.
        face_model: What restores faces, where a step does; by default gfpgan.v1.4.

    Returns:
        The model's own Upscaler where nothing is asked for.

    Raises:
        BadOption: A step is unknown or does not keep the size.
        Misconfigured: Weights cannot be had.
    """
    if not steps and blending.strength == 1:
        return model.upscaler()

    def load(name: str) -> LoadedModel:
        if name.lower().endswith(WEIGHTS_SUFFIXES):
            path = Path(name)
            return NetworkModel(detect_network(path), model.device, store, path)
        if name not in RESTORERS:
            raise BadOption("restore", name, f"one of {', '.join(STEPS)}, or a weights file")
        return NetworkModel(RESTORERS[name], model.device, store)

    faces = None
    if FACES in steps:
        name = face_model or DEFAULT_FACE_MODEL
        faces = FaceEnhancer.from_store(name, model.device.device, store)
    return make_chain(steps, model, faces, load, blending).upscaler()
