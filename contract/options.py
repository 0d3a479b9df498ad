"""The options of a request and of an operator, from the one table options.toml.

    REQUEST_OPTIONS     what a request may ask of `/upscale`
    DEGRADE_OPTIONS     what a request may ask of `/degrade`
    GENERATE_OPTIONS    what a request may ask of `/imagine`, `/restyle` and `/inpaint`
    OPERATOR_OPTIONS    what the operator of an Executor may set, in YAML or in the environment

The reader of Documents, the operator's settings, the command line, OpenAPI, the pages and the
tables of docs/reference.md (`python -m tools.reference`) follow from them.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contract.option import Option

__all__ = [
    "DEGRADE_OPTIONS",
    "ENDPOINT_OPTIONS",
    "GENERATE_OPTIONS",
    "IMAGE_FORMATS",
    "MASK_ENDPOINTS",
    "OPERATOR_OPTIONS",
    "REQUEST_OPTIONS",
    "SAMPLING_OPTIONS",
    "TEXT_ENDPOINTS",
]


def _make_table(rows: Mapping[str, Mapping[str, Any]], **common: Any) -> Mapping[str, Option]:
    """Make the options of one part of the table; lists become tuples."""
    made = {}
    for name, row in rows.items():
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        made[name] = Option(name=name, **(common | values))
    return MappingProxyType(made)


_TABLE = tomllib.loads(Path(__file__).with_name("options.toml").read_text(encoding="utf-8"))

REQUEST_OPTIONS = _make_table(_TABLE["request"])
"""Options of `/upscale`, by name."""

_SHARED = (
    *("image_format", "quality", "png_compression"),
    *("drop_image_content", "output_path", "errors"),
)
DEGRADE_OPTIONS = MappingProxyType(
    {**_make_table(_TABLE["degrade"]), **{name: REQUEST_OPTIONS[name] for name in _SHARED}}
)
"""Options of `/degrade`, by name."""

GENERATE_OPTIONS = _make_table(_TABLE["generate"])
"""Options of generators, by name."""

_SAMPLING = ("prompt", "negative_prompt", "steps", "guidance_scale", "seed")
_ENLARGING = (*_SHARED, "scale", "tile", "model", "restore", "strength")


def _select(own: tuple[str, ...], shared: tuple[str, ...]) -> Mapping[str, Option]:
    """Return the options of an endpoint that generates."""
    chosen = {name: GENERATE_OPTIONS[name] for name in (*_SAMPLING, *own)}
    return MappingProxyType(chosen | {name: REQUEST_OPTIONS[name] for name in shared})


ENDPOINT_OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        "/upscale": REQUEST_OPTIONS,
        "/degrade": DEGRADE_OPTIONS,
        "/imagine": _select(("width", "height", "enlarge", "refine"), _ENLARGING),
        "/restyle": _select(("change",), (*_SHARED, "scale", "model")),
        "/inpaint": _select(("enlarge",), _ENLARGING),
    }
)
"""Options of the endpoints that answer with an image."""

TEXT_ENDPOINTS = frozenset({"/imagine"})
"""Those of ENDPOINT_OPTIONS that take no image."""

MASK_ENDPOINTS = frozenset({"/inpaint"})
"""Those that take a mask beside the image: the Document's first chunk, in a form the file mask."""

OPERATOR_OPTIONS = MappingProxyType(
    {
        **_make_table(_TABLE["operator"], scope="operator"),
        **{name: option for name, option in REQUEST_OPTIONS.items() if option.settable},
    }
)
"""Options of an Executor, by name; those of requests whose default may be set included."""

IMAGE_FORMATS = REQUEST_OPTIONS["image_format"].choices
"""File formats that are written."""

SAMPLING_OPTIONS = tuple(
    name for name, option in REQUEST_OPTIONS.items() if option.models == "stable_diffusion.x4"
)
"""Options of Stable Diffusion."""
