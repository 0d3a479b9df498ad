"""Reading an HTTP body within bounds, and noticing a client that no longer waits."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from fastapi import Request
from jina.types.request.data import DataRequest
from starlette.requests import ClientDisconnect

from contract.problem import ProblemError, make_error, quote

_IDLE_SECONDS = 30.0
_DISCARD_SECONDS = 5.0


def media_type(request: Request) -> str:
    """Return the content type without its parameters, in lower case; "" where none is given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Return whether a content type is JSON's."""
    return media == "application/json" or media.endswith("+json")


def check_coding(request: Request) -> None:
    """Raise ProblemError CONTENT_TYPE for a compressed body, which could grow beyond any limit."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise make_error("CONTENT_TYPE", f"content-encoding {quote(coding)}: expected none")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, at most `limit` bytes. Raises ProblemError BYTES beyond, BODY_TIMEOUT if it
    stalls.
    """
    announced = request.headers.get("content-length", "0")
    length = int(announced) if announced.isdigit() else 0
    if length > limit and request.headers.get("expect", "").lower() == "100-continue":
        raise _too_large(limit, length)
    body = BytesIO()  # whose value needs no copy
    chunks = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), _IDLE_SECONDS)
        except TimeoutError as error:
            raise make_error("BODY_TIMEOUT", f"the body stalled for {_IDLE_SECONDS:g} s") from error
        if chunk is None:
            return body.getvalue()
        body.write(chunk)
        size = max(body.tell(), length)
        if size > limit:
            body.close()
            await _discard(chunks, limit)
            raise _too_large(limit, size)


async def _discard(chunks: Any, limit: int) -> None:
    """Read on for a while: a client that is still sending would miss the answer otherwise."""
    seen = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in chunks:
                seen += len(chunk)
                if seen > 2 * limit:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _too_large(limit: int, size: int) -> ProblemError:
    message = f"the body has {size} bytes or more: expected at most {limit}"
    return make_error("BYTES", message, option="body", allowed=f"{limit} bytes")


async def answer_unless_gone(
    request: Request, answer: Awaitable[DataRequest]
) -> DataRequest | None:
    """Return the answer, or None once the client has hung up: nobody waits for the work any
    more.
    """
    working = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_wait_for_disconnect(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        gone.cancel()
        working.cancel()


async def _wait_for_disconnect(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
