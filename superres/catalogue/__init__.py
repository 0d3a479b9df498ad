"""The table of models: each row is a promise that tests/superres/test_catalogue.py checks."""

from collections.abc import Mapping
from types import MappingProxyType

from superres.catalogue import fast, realesrgan, swin
from superres.errors import BadOption
from superres.model_spec import ModelSpec

ROWS = (*fast.ROWS, *realesrgan.ROWS, *swin.ROWS)
CATALOGUE: Mapping[str, ModelSpec] = MappingProxyType({row.name: row for row in ROWS})


def model_named(name: str, among: Mapping[str, ModelSpec] = CATALOGUE) -> ModelSpec:
    """The model called `name`. Raises BadOption that lists the names there are."""
    if name not in among:
        raise BadOption("model", name, f"one of {', '.join(among)}", code="MODEL")
    return among[name]
