"""How an error of the engine travels: one JSON line in an exception, or a tag of the Document."""

import json
from collections.abc import Iterator
from typing import Any

from superres.errors import (
    BadOption,
    BadSource,
    DeadlineExceeded,
    Overloaded,
    Refused,
    SuperresError,
    Unavailable,
)

STATUS_BY_CODE = {
    "BYTES": 413,
    "DOCUMENTS": 413,
    "SOURCE_TIMEOUT": 504,
}
STATUS_BY_CLASS = (
    (BadOption, 422),
    (BadSource, 422),
    (Refused, 422),
    (Overloaded, 429),
    (DeadlineExceeded, 504),
    (Unavailable, 503),
    (SuperresError, 500),
)


class RequestFailed(Exception):
    """A request that failed as a whole; the text is `description` as one line of JSON."""

    def __init__(self, error: SuperresError, document: str | None = None) -> None:
        super().__init__(json.dumps(described(error, document)))


def described(error: SuperresError, document: str | None = None) -> dict[str, Any]:
    """`code`, `message`, `option`, `allowed`, HTTP `status` and the document's id of an error.

    And `retry_after`, in seconds, where it is known.
    """
    message = f"document {document}: {error}" if document else str(error)
    told = {
        "code": error.code,
        "message": message,
        "option": error.option,
        "allowed": error.allowed,
        "status": status(error),
        "doc_id": document,
    }
    return told | ({"retry_after": error.retry_after} if isinstance(error, Overloaded) else {})


def status(error: SuperresError) -> int:
    """The HTTP status that says what an error says."""
    by_class = next(number for kind, number in STATUS_BY_CLASS if isinstance(error, kind))
    return STATUS_BY_CODE.get(error.code, by_class)


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, outermost first: for the log."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__
