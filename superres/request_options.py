"""Values of request options, with the engine's errors."""

from collections.abc import Mapping
from typing import Any

from contract.option import Option, WrongValue
from contract.options import REQUEST_OPTIONS
from superres.errors import BadOption

__all__ = ["read_option"]


def read_option(name: str, value: object, options: Mapping[str, Option] = REQUEST_OPTIONS) -> Any:
    """Read the value of a request's option.

    Args:
        name: Of the option.
        value: As a client sent it: numbers may be floats or text of digits.
        options: Those of the endpoint.

    Returns:
        The value in the option's own type, within its range.

    Raises:
        BadOption: The option cannot have the value, or there is no such option.
    """
    if name not in options:
        raise BadOption(name, value, f"one of the options {', '.join(options)}")
    try:
        return options[name].read(value)
    except WrongValue as error:
        raise BadOption(name, value, error.allowed, code=error.code) from error
