"""What `superres compare --record` measured of the models: their quality, beside bicubic's."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Quality", "find_quality"]


class Quality(NamedTuple):
    """Quality of photos: the mean of evaluation.metrics' score over clean and damaged ones."""

    model: float | None  # None where it was not measured
    bicubic: float | None  # at the model's scale


def find_quality(model: str, scale: int) -> Quality:
    """Find what was measured of a model.

    Args:
        model: A name; of a model that is not in the catalogue nothing is known.
        scale: The model's.

    Returns:
        Its quality and bicubic's; higher is better.
    """
    measured = _read()
    return Quality(measured["models"].get(model), measured["bicubic"].get(str(scale)))


@cache
def _read() -> Mapping[str, Mapping[str, float]]:
    text = files("superres.catalogue").joinpath("measured.json").read_text()
    measured: Mapping[str, Mapping[str, float]] = json.loads(text)
    return measured
