"""Values of request options, with the engine's errors."""

from typing import Any

from contract.option import WrongValue
from contract.options import REQUEST_OPTIONS
from superres.errors import BadOption

__all__ = ["read_option"]


def read_option(name: str, value: object) -> Any:
    """Read the value of a request's option.

    Args:
        name: One of contract.options.REQUEST_OPTIONS.
        value: As a client sent it: numbers may be floats or text of digits.

    Returns:
        The value in the option's own type, within its range.

    Raises:
        BadOption: The option cannot have the value, or there is no such option.
    """
    if name not in REQUEST_OPTIONS:
        raise BadOption(name, value, f"one of the options {', '.join(REQUEST_OPTIONS)}")
    try:
        return REQUEST_OPTIONS[name].read(value)
    except WrongValue as error:
        raise BadOption(name, value, error.allowed, code=error.code) from error
