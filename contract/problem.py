"""Errors as clients see them: codes, their HTTP status, and the JSON of an error.

One code has one status, wherever it is raised and whatever the protocol.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

__all__ = [
    "CALLER_STATUS",
    "EXCEPTION_NAME",
    "RETRIABLE",
    "STATUS",
    "Problem",
    "ProblemError",
    "make_error",
    "make_problem",
    "parse_problem",
    "quote",
    "status_of",
]

EXCEPTION_NAME = "RequestFailed"
"""Name of the exception whose only argument is a Problem as JSON, for Executors and clients."""

CALLER_STATUS = 422
"""HTTP status of a code that the table does not have, as another Executor of a Flow may raise."""

RETRIABLE = frozenset({429, 503})
MAX_RETRY_SECONDS = 3600

STATUS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("JSON", "BASE64"), 400)  # no request at all
    | {"KEY": 401}
    | dict.fromkeys(("PATH", "ENDPOINT"), 404)
    | {"METHOD": 405, "BODY_TIMEOUT": 408}
    | dict.fromkeys(("BYTES", "DOCUMENTS"), 413)  # too many of them
    | {"CONTENT_TYPE": 415}
    # An option or the form of the request
    | dict.fromkeys(("OPTION", "REQUEST", "FORM", "TARGET", "REFUSED"), 422)
    | dict.fromkeys(("MODEL", "MODEL_TYPE", "RANGE", "SYNTAX", "LENGTH", "TARGET_TAKEN"), 422)
    | dict.fromkeys(("SCALE_TYPE", "SCALE_SYNTAX", "SCALE_VALUE", "SCALE_TOO_LARGE"), 422)
    # The image itself
    | dict.fromkeys(("NO_IMAGE", "EMPTY", "UNDECODABLE", "TRUNCATED", "FORMAT", "MODE"), 422)
    | dict.fromkeys(("DTYPE", "SHAPE", "NON_FINITE", "ENCRYPTED", "SECONDS", "TOO_SMALL"), 422)
    | dict.fromkeys(("BLOB_IS_URL", "BLOB_IS_PATH", "BLOB_IS_BASE64"), 422)
    | dict.fromkeys(("TOO_LARGE", "PIXELS", "FRAMES", "OUTPUT_PIXELS", "MEMORY"), 422)
    # A uri
    | dict.fromkeys(("SOURCE", "SCHEME", "ADDRESS", "LOCAL_PATH", "REDIRECTS"), 422)
    | dict.fromkeys(("SOURCE_STATUS", "SOURCE_ENCODING", "SOURCE_UNREACHABLE"), 422)
    | {"SOURCE_TIMEOUT": 504}
    # The server
    | {"OVERLOADED": 429}
    | dict.fromkeys(("INTERNAL", "FAILED", "MISCONFIGURED", "SETTING"), 500)
    | dict.fromkeys(("WEIGHTS_MISSING", "WEIGHTS_CORRUPT", "WEIGHTS_MISMATCH"), 500)
    | dict.fromkeys(("UNAVAILABLE", "CANCELLED", "OUT_OF_MEMORY"), 503)
    | {"DEADLINE": 504}
)
"""HTTP status by code."""


def status_of(code: str) -> int:
    """Return the HTTP status of `code`; CALLER_STATUS where the table does not have it."""
    return STATUS.get(code, CALLER_STATUS)


@dataclass(frozen=True)
class Problem:
    """A public account of a failure: no stack, no path, no input.

    `code` is SCREAMING_SNAKE, `option` the option or field at fault, `allowed` what would do,
    `status` the HTTP status, `doc_id` the Document at fault where there is exactly one,
    `retry_after` the seconds after which a retriable request may succeed.
    """

    code: str
    message: str
    option: str | None = None
    allowed: str | None = None
    status: int = 500
    doc_id: str | None = None
    retry_after: int = 1

    @property
    def description(self) -> str:
        """The one line that gRPC clients see: `CODE: message`."""
        return f"{self.code}: {self.message}"

    def as_tag(self) -> dict[str, str | None]:
        """Return the tag `error` of a Document that failed among others."""
        return {
            "code": self.code,
            "message": self.message,
            "option": self.option,
            "allowed": self.allowed,
        }

    def as_dict(self, request_id: str | None = None) -> dict[str, str | None]:
        """Return the JSON body of an HTTP error."""
        extra = {"doc_id": self.doc_id, "request_id": request_id}
        return self.as_tag() | {name: value for name, value in extra.items() if value}

    def as_json(self) -> str:
        """Return the line that travels as the argument of an exception, see EXCEPTION_NAME."""
        retry = {"retry_after": self.retry_after} if self.status in RETRIABLE else {}
        return json.dumps(self.as_dict() | {"status": self.status} | retry)

    def with_document(self, doc_id: str | None) -> "Problem":
        """Return the Problem naming the Document at fault, where it names none yet."""
        return self if self.doc_id or not doc_id else replace(self, doc_id=doc_id)


def make_problem(
    code: str, message: str, *, option: str | None = None, allowed: str | None = None
) -> Problem:
    """Return the Problem of `code`, with the status that belongs to it."""
    return Problem(code, message, option, allowed, status_of(code))


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


def parse_problem(line: str) -> Problem:
    """Read what `Problem.as_json` wrote.

    Args:
        line: One JSON object; a status that it lacks is its code's.

    Returns:
        The Problem.

    Raises:
        ValueError, KeyError, TypeError: The line is no Problem, or its status is no error's.
    """
    fields: dict[str, Any] = json.loads(line)
    code = str(fields["code"])
    status = fields.get("status") or status_of(code)
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise ValueError(f"status {status!r}: expected 400..599")
    return Problem(
        code,
        str(fields["message"]),
        _read_text(fields, "option"),
        _read_text(fields, "allowed"),
        status,
        _read_text(fields, "doc_id"),
        _read_seconds(fields.get("retry_after")),
    )


def _read_seconds(value: object) -> int:
    """Return the seconds to wait: 1 to an hour, 1 where none are told."""
    told = value if isinstance(value, int) and not isinstance(value, bool) else 1
    return max(1, min(told, MAX_RETRY_SECONDS))


def _read_text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else str(value)


def quote(value: object, limit: int = 80) -> str:
    """Return `value` for a message: at most `limit` characters, no control characters."""
    if not isinstance(value, str):
        text = _printable(repr(value)[: 4 * limit])
        return text if len(text) <= limit else f"{text[:limit]}…"
    clean = _printable(value[:limit])
    return f'"{clean}…"' if len(value) > limit else f'"{clean}"'


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
