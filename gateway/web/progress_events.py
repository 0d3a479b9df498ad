"""How far a request is, as server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from contract.problem import ProblemError, make_error
from gateway.core.request_id import read_request_id
from gateway.core.request_service import RequestService
from gateway.web.responses import error_response

ENDPOINT = "/progress"
MAX_STREAMS = 32
POLL_SECONDS = 0.2
_UNKNOWN_SECONDS = 3.0
_KEEPALIVE_SECONDS = 10.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Done(NamedTuple):
    """`done` of `total` steps; steps are the model's, in practice tiles."""

    done: int
    total: int


class Places:
    """How many streams there are; refuses beyond its capacity."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._taken = 0

    def __enter__(self) -> None:
        if self._taken >= self._capacity:
            message = f"{self._capacity} progress streams are open already: retry later"
            raise make_error("OVERLOADED", message)
        self._taken += 1

    def __exit__(self, *_error: object) -> None:
        self._taken -= 1


class ProgressStream(StreamingResponse):
    """The events of one request until it ends; 429 once all places are taken."""

    def __init__(self, service: RequestService, places: Places, request_id: str) -> None:
        events = _events(service, request_id)
        super().__init__(events, media_type="text/event-stream", headers=HEADERS)
        self._places = places
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._places:
                async with aclosing(self._events):
                    await super().__call__(scope, receive, send)
        except ProblemError as refused:
            await error_response(refused.problem, read_request_id(scope))(scope, receive, send)


async def _events(service: RequestService, request_id: str) -> AsyncGenerator[str, None]:
    """Yield `{"done", "total"}` whenever it changes, at last `{"finished"}` or `{"unknown"}`."""
    yield ": the events of a request\n\n"  # the client hears at once that it is heard
    spoke = time.monotonic()
    async with aclosing(_steps(service, request_id)) as steps:
        async for event in steps:
            if event is not None:
                spoke = time.monotonic()
                yield f"data: {json.dumps(event)}\n\n"
            elif time.monotonic() - spoke > _KEEPALIVE_SECONDS:
                spoke = time.monotonic()
                yield ": waiting\n\n"


async def _steps(
    service: RequestService, request_id: str
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Yield what to tell about five times a second, None where there is nothing new.

    Whether a request is there at all the gateway knows itself: while its body is still arriving,
    and whichever replica of an Executor has it.
    """
    began, seen, told = time.monotonic(), False, Done(0, 0)
    while True:
        active = request_id in service.active
        if seen and not active:
            yield {"finished": True}
            return
        seen = seen or active
        if not seen and (service.in_flight.draining or time.monotonic() - began > _UNKNOWN_SECONDS):
            yield {"unknown": True}
            return
        now = await _ask_progress(service, request_id) if active else None
        news = now is not None and now != told
        yield now._asdict() if now is not None and news else None
        told = now or told
        await asyncio.sleep(POLL_SECONDS)


async def _ask_progress(service: RequestService, request_id: str) -> Done | None:
    """Return how far the Executors are; None where none of them knows."""
    try:
        answers = await service.query_executors(ENDPOINT, {"request_id": request_id})
    except ProblemError:
        return None  # the request itself will say what is wrong
    known = [answer for answer in answers if answer.get("known") is True]
    try:
        return Done(int(known[0]["done"]), int(known[0]["total"])) if known else None
    except (KeyError, TypeError, ValueError):
        return None
