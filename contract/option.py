"""One option: its kind, range and default, and the reading of its values."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contract.restoration import WrongChain, describe_chains, read_chain

Kind = Literal[
    "integer", "number", "boolean", "text", "path", "texts", "models", "integers", "paths", "chain"
]
Scope = Literal["image", "document", "request", "operator"]
"""Where an option may stand: with an image (query, form, tags, parameters), in tags and parameters
only, in parameters only, or in the operator's settings.
"""

EXACT_FLOAT = 2**53
"""The largest whole number up to which floats, as in protobuf, miss none."""

_SCHEMA_TYPES: Mapping[str, str | list[str]] = {"text": "string", "chain": ["string", "array"]}
_MAX_NUMBER_CHARACTERS = 32
_SWITCH_WORDS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


def write_exactly(number: int) -> int | str:
    """Return a whole number for an answer: as digits where a float would round it."""
    return number if number <= EXACT_FLOAT else str(number)


class WrongValue(ValueError):
    """A value that an option cannot have; `allowed` says what would do."""

    def __init__(self, allowed: str, code: str = "OPTION") -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option. Both ends of a range are allowed.

    `default` is None where it depends on the model or the input: then `default_text` says on what.
    `models` names the models that have the option, where not all do. `max_length` is in characters.
    """

    name: str
    meaning: str
    kind: Kind = "text"
    minimum: int | None = None
    maximum: int | None = None
    default: Any = None
    default_text: str = ""
    choices: tuple[str, ...] = ()
    example: str | None = None
    aliases: tuple[str, ...] = ()
    scope: Scope = "image"
    models: str | None = None
    max_length: int | None = None
    expected: str | None = None
    settable: bool = False  # an operator may set the default of requests

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def allowed(self) -> str:
        """What an error says would do."""
        if self.kind in ("integer", "number"):
            whole = "whole " if self.kind == "integer" else ""
            text = f"a {whole}number from {self.minimum} to {self.maximum}"
            is_beyond_floats = self.maximum is not None and self.maximum > EXACT_FLOAT
            return f"{text}, above {EXACT_FLOAT} as text" if is_beyond_floats else text
        if self.kind == "boolean":
            return "true or false"
        if self.kind == "chain":
            return describe_chains()
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.max_length:
            return f"text of at most {self.max_length} characters"
        return self.expected or "text"

    @property
    def schema(self) -> dict[str, Any]:
        """The option in JSON Schema."""
        fields = {
            "type": _SCHEMA_TYPES.get(self.kind, self.kind),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "maxLength": self.max_length,
            "default": self.default,
            "enum": list(self.choices) or None,
            "examples": [self.example] if self.example else None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def read(self, value: object) -> Any:
        """Read a value in the option's own type.

        Args:
            value: Numbers may come as floats, which protobuf makes of all, or as text of digits;
                truth values as words.

        Returns:
            An int, float, bool or str within the option's range; of a chain, its steps.

        Raises:
            WrongValue: The option cannot have the value.
        """
        if self.kind in ("integer", "number"):
            return self._read_number(value)
        if self.kind == "boolean":
            return self._read_switch(value)
        if self.kind == "chain":
            try:
                return read_chain(value)
            except WrongChain as error:
                raise WrongValue(str(error)) from error
        if not isinstance(value, str):
            raise WrongValue(
                self.allowed, f"{self.name.upper()}_TYPE" if self.expected else "OPTION"
            )
        if len(value) > (self.max_length or math.inf) or (
            self.choices and value not in self.choices
        ):
            raise WrongValue(self.allowed)
        return value

    def _read_number(self, value: object) -> int | float:
        number = _read_exactly(value)
        if number is None or not (self.minimum or 0) <= number <= (self.maximum or math.inf):
            raise WrongValue(self.allowed)
        if self.kind == "number":
            return float(number)
        if number != int(number):
            raise WrongValue(self.allowed)
        return int(number)

    def _read_switch(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float) and value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.lower() in _SWITCH_WORDS:
            return _SWITCH_WORDS[value.lower()]
        raise WrongValue(self.allowed)


def _read_exactly(value: object) -> int | float | None:
    """Return `value` as an exact number, None if it is none; truth values are none."""
    if isinstance(value, str):
        value = _parse_digits(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    is_rounded = isinstance(value, float) and not (
        math.isfinite(value) and abs(value) <= EXACT_FLOAT
    )
    return None if is_rounded else value


def _parse_digits(digits: str) -> int | float | None:
    """Return the number that `digits` spells in ASCII."""
    if len(digits) > _MAX_NUMBER_CHARACTERS:
        return None
    digits = digits.strip()
    if re.fullmatch(r"[+-]?[0-9]+", digits):
        return int(digits)
    if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(e[+-]?[0-9]{1,3})?", digits.lower()):
        return float(digits)
    return None
