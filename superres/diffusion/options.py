"""What a request may ask of a diffusion model: names, allowed values, defaults."""

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from superres.errors import BadOption

EXACT = 2**53  # the largest whole number up to which floats, as in protobuf, miss none
RANDOM_SEEDS = 2**32  # enough to choose from, and short enough to type again
LONGEST_NUMBER = 32  # characters


class Bounds(NamedTuple):
    """Allowed values of a number, both ends included."""

    least: int
    most: int
    whole: bool = True

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least} to {self.most}"


NUMBERS: Mapping[str, Bounds] = MappingProxyType(
    {
        "steps": Bounds(1, 150),
        "guidance_scale": Bounds(0, 30, whole=False),
        "noise_level": Bounds(0, 350),
        "seed": Bounds(0, 2**63 - 1),
    }
)
TEXTS: Mapping[str, int] = MappingProxyType({"prompt": 1000, "negative_prompt": 1000})
OPTIONS = (*TEXTS, *NUMBERS)


@dataclass(frozen=True)
class Sampling:
    """How one picture is made; the defaults are the publisher's."""

    seed: int
    prompt: str = ""
    negative_prompt: str = ""
    steps: int = 75
    guidance_scale: float = 9.0
    noise_level: int = 20

    @property
    def guided(self) -> bool:
        """Whether the network runs twice a step, with and without the prompt.

        Where both prompts are the same, guidance leads nowhere and would only take time.
        """
        return self.guidance_scale > 1 and self.prompt != self.negative_prompt

    @property
    def report(self) -> dict[str, Any]:
        """What another request needs for the same picture, the prompts apart.

        A seed that a float would round is given as digits.
        """
        return {
            "seed": self.seed if self.seed <= EXACT else str(self.seed),
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "noise_level": self.noise_level,
        }


def sampling(given: Mapping[str, Any]) -> Sampling:
    """The options of a request; what is not given, or None, has its default, and a random seed.

    Raises BadOption that names option, value and what is allowed.
    """
    values = {name: checked(name, value) for name, value in given.items() if value is not None}
    return Sampling(**{"seed": secrets.randbelow(RANDOM_SEEDS), **values})


def checked(name: str, value: Any) -> Any:
    """`value` of option `name` in its own type; numbers may come as floats or as text of digits."""
    if name in TEXTS:
        return text(name, value)
    if name in NUMBERS:
        return number(name, value)
    raise BadOption(name, value, f"one of the options {', '.join(OPTIONS)}")


def text(name: str, value: Any) -> str:
    """`value` if it is text that is not too long to be read at all."""
    most = TEXTS[name]
    if not isinstance(value, str) or len(value) > most:
        raise BadOption(name, value, f"text of at most {most} characters")
    return value


def number(name: str, value: Any) -> int | float:
    """`value` as a number within its bounds."""
    bounds = NUMBERS[name]
    exact = finite(value)
    if exact is None or not bounds.least <= exact <= bounds.most:
        raise BadOption(name, value, allowed(bounds))
    if not bounds.whole:
        return float(exact)
    if exact != int(exact):
        raise BadOption(name, value, allowed(bounds))
    return int(exact)


def allowed(bounds: Bounds) -> str:
    """What an error says would do."""
    return f"{bounds}, above {EXACT} as text" if bounds.most > EXACT else str(bounds)


def finite(value: Any) -> int | float | None:
    """`value` as an exact number, None if it is none; digits in text count, truth values do not."""
    if isinstance(value, str):
        value = parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    rounded = isinstance(value, float) and not (math.isfinite(value) and abs(value) <= EXACT)
    return None if rounded else value


def parsed(digits: str) -> int | float | None:
    """The number that `digits` spells in ASCII."""
    if len(digits) > LONGEST_NUMBER:
        return None
    digits = digits.strip()
    if re.fullmatch(r"[+-]?[0-9]+", digits):
        return int(digits)
    if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(e[+-]?[0-9]{1,3})?", digits.lower()):
        return float(digits)
    return None
