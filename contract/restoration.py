"""Restoration as a chain of steps: what a request may ask for, and the presets.

A step is one of STEPS or the name of a model that keeps the size; steps are done in their order.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "FACES",
    "PRESETS",
    "STEPS",
    "UPSCALE",
    "Preset",
    "WrongChain",
    "describe_chains",
    "find_preset_model",
    "read_chain",
]

UPSCALE, FACES = "upscale", "faces"
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "deblock": "removes traces of JPEG",
        "denoise": "removes noise",
        FACES: "restores faces, where a face model is loaded",
        UPSCALE: "enlarges by the model; without it the size stays",
    }
)
"""Steps by name."""
_MAX_STEPS = 8


class WrongChain(ValueError):
    """What is no chain; the message says what would do."""


class Preset(NamedTuple):
    """A chain by name, and the model it is best with, where there is one."""

    steps: tuple[str, ...]
    meaning: str
    model: str | None = None


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "jpeg": Preset(("deblock", UPSCALE), "saved too small, often or by a messenger"),
        "old-photo": Preset(
            ("deblock", "denoise", UPSCALE, FACES), "scanned prints and early digital photos"
        ),
        "scan": Preset(("denoise", UPSCALE), "pages and film with grain"),
        "face": Preset((UPSCALE, FACES), "portraits"),
        "anime": Preset(("deblock", UPSCALE), "drawings and anime", "realesrgan.anime-x4"),
    }
)


def read_chain(value: object) -> tuple[str, ...]:
    """Read a chain.

    Args:
        value: A preset's name, steps with commas between, or a list of steps.

    Returns:
        Its steps; names of models are not checked.

    Raises:
        WrongChain: It is none.
    """
    if isinstance(value, str):
        if value.strip() in PRESETS:
            return PRESETS[value.strip()].steps
        value = value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(step, str) for step in value):
        raise WrongChain(describe_chains())
    steps = tuple(step.strip() for step in value)
    if not steps or not all(steps) or len(steps) > _MAX_STEPS:
        raise WrongChain(describe_chains())
    if len(set(steps)) < len(steps):
        raise WrongChain("each step once")
    return steps


def find_preset_model(value: object) -> str | None:
    """Return the model that a preset is best with; None where there is none, or no preset."""
    preset = PRESETS.get(value.strip()) if isinstance(value, str) else None
    return preset.model if preset else None


def describe_chains() -> str:
    """Return what a chain may be."""
    return (
        f"a preset ({', '.join(PRESETS)}), or up to {_MAX_STEPS} steps of {', '.join(STEPS)} and "
        "models that keep the size"
    )
