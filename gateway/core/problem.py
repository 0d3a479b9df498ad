"""What went wrong, as a client may see it: one `Problem` for HTTP, gRPC and WebSocket alike."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

FROM_EXECUTOR = "RequestFailed"
"""Name of the exception whose only argument is a Problem as JSON, for Executors and clients."""

STATUS = {
    "JSON": 400,
    "BASE64": 400,
    "KEY": 401,
    "PATH": 404,
    "ENDPOINT": 404,
    "METHOD": 405,
    "BODY_TIMEOUT": 408,
    "BYTES": 413,
    "FRAMES": 413,
    "DOCUMENTS": 413,
    "TOO_LARGE": 413,
    "CONTENT_TYPE": 415,
    "OVERLOADED": 429,
    "INTERNAL": 500,
    "FAILED": 500,
    "UNAVAILABLE": 503,
    "CANCELLED": 503,
    "OUT_OF_MEMORY": 503,
    "DEADLINE": 504,
}
"""HTTP status by code, where the Problem has none; any other code is the caller's: 422."""

RETRIABLE = frozenset({429, 503})


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

    def as_dict(self, request_id: str | None = None) -> dict[str, str | None]:
        """The JSON body of an HTTP error."""
        body = {
            "code": self.code,
            "message": self.message,
            "option": self.option,
            "allowed": self.allowed,
        }
        extra = {"doc_id": self.doc_id, "request_id": request_id}
        return body | {name: value for name, value in extra.items() if value}

    def as_json(self) -> str:
        """The line that travels inside Jina's `status.exception.args`."""
        retry = {"retry_after": self.retry_after} if self.status in RETRIABLE else {}
        return json.dumps(self.as_dict() | {"status": self.status} | retry)


class Refusal(Exception):
    """A request that goes no further; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.description)
        self.problem = problem


def refusal(
    code: str, message: str, *, option: str | None = None, allowed: str | None = None
) -> Refusal:
    """The exception for `code`, with the HTTP status that belongs to it."""
    return Refusal(Problem(code, message, option, allowed, STATUS.get(code, 422)))


INTERNAL = Problem("INTERNAL", "the server failed; its log has the cause under the request_id")


def problem_of(name: str, arguments: Sequence[str]) -> Problem:
    """The Problem inside an Executor's exception; INTERNAL if it was not meant for clients."""
    if name != FROM_EXECUTOR or not arguments:
        return INTERNAL
    try:
        return _checked(json.loads(arguments[0]))
    except (ValueError, KeyError, TypeError):
        return INTERNAL


def _checked(fields: dict[str, Any]) -> Problem:
    code = str(fields["code"])
    status = fields.get("status") or STATUS.get(code, 422)
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise ValueError(f"status {status!r}: expected 400..599")
    return Problem(
        code,
        str(fields["message"]),
        _text(fields, "option"),
        _text(fields, "allowed"),
        status,
        _text(fields, "doc_id"),
        _seconds(fields.get("retry_after")),
    )


def _seconds(value: object) -> int:
    """Seconds to wait: 1 to an hour, 1 where none are told."""
    told = value if isinstance(value, int) and not isinstance(value, bool) else 1
    return max(1, min(told, 3600))


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else str(value)


def about(problem: Problem, doc_id: str | None) -> Problem:
    """`problem` naming the Document at fault, where it does not name one already."""
    return problem if problem.doc_id or not doc_id else replace(problem, doc_id=doc_id)


def shown(text: str, limit: int = 80) -> str:
    """`text` for a message: quoted, at most `limit` characters, no control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:limit])
    return f'"{clean}…"' if len(text) > limit else f'"{clean}"'
