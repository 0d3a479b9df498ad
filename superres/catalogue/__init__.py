"""The table of models: each row is a promise that tests/superres/test_catalogue.py checks."""

from collections.abc import Mapping
from types import MappingProxyType

from superres.catalogue import (
    bicubic_pp,
    compact,
    dipnet,
    lanczos,
    lapsrn,
    realesrgan,
    swin2sr,
    swinir,
)
from superres.errors import BadOption
from superres.model_spec import NetworkSpec

SYSTEMS = (
    lanczos,
    bicubic_pp,
    compact,
    dipnet,
    lapsrn,
    realesrgan,
    swinir,
    swin2sr,
)  # fast ones first
ROWS = tuple(row for system in SYSTEMS for row in system.ROWS)
CATALOGUE: Mapping[str, NetworkSpec] = MappingProxyType({row.name: row for row in ROWS})


def find_model(name: str, among: Mapping[str, NetworkSpec] = CATALOGUE) -> NetworkSpec:
    """Return the model called `name`. Raises BadOption that lists the names there are."""
    if name not in among:
        raise BadOption("model", name, f"one of {', '.join(among)}", code="MODEL")
    return among[name]
