"""How the gateway refuses a request, and what it makes of an Executor's exception."""

from collections.abc import Sequence

from contract.problem import EXCEPTION_NAME, Problem, make_problem, parse_problem

INTERNAL = Problem("INTERNAL", "the server failed; its log has the cause under the request_id")


class ProblemError(Exception):
    """A request that goes no further; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.description)
        self.problem = problem


def make_error(
    code: str, message: str, *, option: str | None = None, allowed: str | None = None
) -> ProblemError:
    """Return the exception for `code`, with the HTTP status that belongs to it."""
    return ProblemError(make_problem(code, message, option=option, allowed=allowed))


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
