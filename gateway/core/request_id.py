"""Which request is which: an id for each, in answers, errors, logs and for the Executors."""

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
"""Of HTTP and of gRPC's metadata, in requests and answers."""

PARAMETER = "request_id"
"""What Executors know it by."""

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def choose_request_id(*offered: str | None) -> str:
    """Return the first of `offered` that is sane: up to 128 letters, digits and `._-`; else a new
    one.
    """
    sane = (text for text in offered if text and _SANE.fullmatch(text))
    return next(sane, None) or secrets.token_hex(16)


def read_request_id(scope: Scope) -> str:
    """Return the id that an HTTP request was given on arrival."""
    return cast(str, scope["state"]["request_id"])


class ActiveRequests:
    """The ids of requests that have arrived and are not answered yet."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._counts

    @contextmanager
    def track_one(self, request_id: str) -> Iterator[None]:
        """Count a request in; several may share an id."""
        self._counts[request_id] += 1
        try:
            yield
        finally:
            self._counts[request_id] -= 1
            if not self._counts[request_id]:
                del self._counts[request_id]


class Identified:
    """An ASGI application whose HTTP requests have ids; a POST is active until it is answered."""

    def __init__(self, app: ASGIApp, active: ActiveRequests) -> None:
        self._app = app
        self._active = active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = choose_request_id(_header(scope))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_header(message, request_id)
            await send(message)

        is_work = scope["method"] == "POST"
        with self._active.track_one(request_id) if is_work else nullcontext():
            await self._app(scope, receive, send_named)


def _header(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name.lower() == HEADER.encode()]
    return found[0].decode("latin-1") if found else None


def _add_header(message: Any, request_id: str) -> None:
    message["headers"] = [*message.get("headers", ()), (HEADER.encode(), request_id.encode())]
