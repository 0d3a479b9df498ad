"""The options of an endpoint of images, in a query or a form."""

import difflib
from collections.abc import Iterable, Mapping

from contract.option import Option
from contract.options import ENDPOINT_OPTIONS
from contract.problem import ProblemError, make_error, quote

_MAX_VALUE_CHARACTERS = 2000

QUERY_OPTIONS: Mapping[str, Mapping[str, Option]] = {
    endpoint: {
        name: option
        for option in options.values()
        if option.scope == "image"
        for name in option.names
    }
    for endpoint, options in ENDPOINT_OPTIONS.items()
}
"""Those that a query or a form may name, by endpoint, aliases included."""


def read_options(endpoint: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the options in a query or form of an endpoint; empty values count as absent.

    Executors check the values. Raises ProblemError OPTION for a name that is unknown, which would
    go unnoticed otherwise, or given twice, or a value beyond all reason.
    """
    given: dict[str, str] = {}
    options = QUERY_OPTIONS[endpoint]
    for name, value in pairs:
        if name not in options:
            raise _make_unknown_error(name, options)
        if name in given:
            raise make_error("OPTION", f"{name}: given twice", option=name, allowed="one value")
        if len(value) > _MAX_VALUE_CHARACTERS:
            allowed = f"at most {_MAX_VALUE_CHARACTERS} characters"
            raise make_error(
                "OPTION", f"{name}: {len(value)} characters", option=name, allowed=allowed
            )
        if value.strip():
            given[name] = value
    return given


def _make_unknown_error(name: str, options: Mapping[str, Option]) -> ProblemError:
    near = difflib.get_close_matches(name[:40], options, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    allowed = ", ".join(options)
    message = f"option {quote(name, 40)} is unknown{hint or f': expected one of {allowed}'}"
    return make_error("OPTION", message, option=name[:40], allowed=allowed)
