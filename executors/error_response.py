"""How an error of the engine travels: one JSON line in an exception, or a tag of the Document."""

from contract.problem import Problem, status_of
from superres.errors import Overloaded, SuperresError


class RequestFailed(Exception):
    """A request that failed as a whole; the text is its Problem as one line of JSON.

    The gateway knows it by its name, contract.problem.EXCEPTION_NAME.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.as_json())


def describe(error: SuperresError, document: str | None = None) -> Problem:
    """Return the public account of an error, of the Document with the id `document` if any."""
    return Problem(
        error.code,
        f"document {document}: {error}" if document else str(error),
        error.option,
        error.allowed,
        status_of(error.code),
        document,
        error.retry_after if isinstance(error, Overloaded) else 1,
    )
