"""Work that would hold up the other requests of the event loop goes into a thread."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")

QUICK_BYTES = 2**16
"""Of a message that is read or written sooner than a thread begins and tells, about 0.2 ms."""

_PAUSE_SECONDS = 2e-5

_abandoned: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)
"""Set once nobody waits for the work of this thread; None on the event loop."""


class Abandoned(Exception):
    """Work that nobody waits for any more."""


async def offload(size: int, work: Callable[[Given], Result], given: Given) -> Result:
    """Do `work`, in a thread where it concerns more than a few bytes.

    A thread cannot be ended from outside: if the caller is cancelled, `pause` ends it.
    """
    if size <= QUICK_BYTES:
        return work(given)
    abandoned = threading.Event()
    token = _abandoned.set(abandoned)
    try:
        return await asyncio.to_thread(work, given)
    finally:
        abandoned.set()
        _abandoned.reset(token)


def pause() -> None:
    """Let other threads work, between two pieces of long work in a thread.

    NumPy lets the interpreter's lock go and takes it again before a thread that waits for it has
    woken up, and Python then never takes it away: without a pause nobody else works.

    Raises:
        Abandoned: Nobody waits for the work any more.
    """
    abandoned = _abandoned.get()
    if abandoned is None:
        return
    if abandoned.is_set():
        raise Abandoned
    time.sleep(_PAUSE_SECONDS)
