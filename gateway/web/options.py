"""The options of `/upscale` in a query or a form."""

import difflib
from collections.abc import Iterable

from contract.options import REQUEST_OPTIONS
from contract.problem import quote
from gateway.core.problem import Refusal, refusal

LONGEST_VALUE = 2000

PICTURE_OPTIONS = {
    name: option
    for option in REQUEST_OPTIONS.values()
    if option.scope == "image"
    for name in option.names
}
"""Those that a query or a form may name, aliases included."""


def given_options(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The options in a query or form; empty values count as absent.

    Executors check the values. Raises Refusal OPTION for a name that is unknown, which would go
    unnoticed otherwise, or given twice, or a value beyond all reason.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in PICTURE_OPTIONS:
            raise _unknown(name)
        if name in given:
            raise refusal("OPTION", f"{name}: given twice", option=name, allowed="one value")
        if len(value) > LONGEST_VALUE:
            allowed = f"at most {LONGEST_VALUE} characters"
            raise refusal(
                "OPTION", f"{name}: {len(value)} characters", option=name, allowed=allowed
            )
        if value.strip():
            given[name] = value
    return given


def _unknown(name: str) -> Refusal:
    near = difflib.get_close_matches(name[:40], PICTURE_OPTIONS, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    allowed = ", ".join(PICTURE_OPTIONS)
    message = f"option {quote(name, 40)} is unknown{hint or f': expected one of {allowed}'}"
    return refusal("OPTION", message, option=name[:40], allowed=allowed)
