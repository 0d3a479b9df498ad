"""Work that would hold up the other requests of the event loop goes into a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")

QUICK_BYTES = 2**16
"""Of a message that is read or written sooner than a thread begins and tells, about 0.2 ms."""


async def offload(size: int, work: Callable[[Given], Result], given: Given) -> Result:
    """Do `work`, in a thread where it concerns more than a few bytes."""
    return work(given) if size <= QUICK_BYTES else await asyncio.to_thread(work, given)
