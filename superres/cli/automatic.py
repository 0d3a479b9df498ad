"""`--model auto:fast` on this machine: a choice among the models whose weights are here."""

import sys

import torch

from contract.model_choice import Candidate, choose_model
from contract.problem import ProblemError
from superres.api import DEFAULT_MODEL
from superres.catalogue.measured import find_quality
from superres.comparison.contenders import BICUBIC, list_contenders
from superres.comparison.settings import ALL_SCALES
from superres.errors import BadOption
from superres.estimation.kept_costs import KeptCosts
from superres.estimation.processor import read_processor_name
from superres.weights.store import Store

__all__ = ["choose_automatically", "list_known_costs"]


def list_known_costs() -> dict[str, float]:
    """List what servers on this machine have measured.

    Returns:
        Seconds per megapixel of input, by model.
    """
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    cache = Store.from_environment(offline=True).cache()
    return KeptCosts(cache).list_known([read_processor_name(), *gpus])


def choose_automatically(asked: str, store: Store, face_enhance: bool) -> str:
    """Choose a model by what was measured, and say on standard error which and why.

    Args:
        asked: auto, or auto: and a preference.
        store: Where weights are; offline, so that nothing is downloaded to be chosen.
        face_enhance: Whether the model must take faces.

    Returns:
        The model's name.

    Raises:
        BadOption: There is no such preference.
    """
    costs = list_known_costs()
    candidates = []
    for one in list_contenders((), ALL_SCALES, store):
        if one.system == BICUBIC:
            continue
        quality = find_quality(one.name, one.scale)
        candidates.append(
            Candidate(
                one.name,
                one.scale,
                quality.model,
                quality.bicubic,
                costs.get(one.name, one.seconds_per_megapixel),
                one.name == DEFAULT_MODEL,
                frozenset(one.spec.options),
            )
        )
    try:
        choice = choose_model(asked, candidates, frozenset(["face_enhance"] * face_enhance))
    except ProblemError as error:
        raise BadOption("--model", asked, str(error.problem.allowed)) from error
    sys.stderr.write(f"{asked}: {choice.model}, {choice.reason}\n")
    return choice.model
