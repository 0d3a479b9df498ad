"""Numbers that options take, and errors as one line."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from superres.errors import BadOption

__all__ = ["check_at_least", "describe_error", "make_range"]

_Number = TypeVar("_Number", int, float)


def check_at_least(option: str, value: _Number, least: _Number) -> _Number:
    """Return a number that is large enough. Raises BadOption."""
    if not value >= least:
        raise BadOption(option, value, f"a number of {least:g} or more")
    return value


def make_range(low: float, high: float) -> Callable[[str], float]:
    """Make a reader of a number in a range, for argparse."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f'"{text}": expected {low:g}..{high:g}')
        return number

    return read


def describe_error(error: Exception) -> str:
    """Return what went wrong, in one line."""
    if isinstance(error, MemoryError):
        return "this machine has too little memory for it"
    said = error.strerror if isinstance(error, OSError) else None
    return " ".join((said or str(error) or type(error).__name__).split())
