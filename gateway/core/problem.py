"""What the gateway makes of an Executor's exception."""

from collections.abc import Sequence

from contract.problem import EXCEPTION_NAME, Problem, parse_problem

INTERNAL = Problem("INTERNAL", "the server failed; its log has the cause under the request_id")


def read_problem(name: str, arguments: Sequence[str]) -> Problem:
    """Return the Problem inside an Executor's exception; INTERNAL if it was not meant for
    clients.
    """
    if name != EXCEPTION_NAME or not arguments:
        return INTERNAL
    try:
        return parse_problem(arguments[0])
    except (ValueError, KeyError, TypeError):
        return INTERNAL
