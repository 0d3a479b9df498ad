"""Long work leaves the event loop to others, short work does not pay for a thread."""

import asyncio
import threading
import time

import pytest

from gateway.core.offload import QUICK_BYTES, Abandoned, offload, pause


@pytest.mark.parametrize(("size", "same"), [(10, True), (QUICK_BYTES, True), (10**6, False)])
def test_only_large_messages_go_into_a_thread(size: int, same: bool) -> None:
    here = threading.get_ident()
    there = asyncio.run(offload(size, lambda _: threading.get_ident(), None))
    assert (there == here) is same


def test_others_go_on_while_a_large_message_is_read() -> None:
    async def both() -> bool:
        reading = asyncio.create_task(offload(10**6, time.sleep, 0.5))
        await asyncio.sleep(0.05)
        return reading.done()

    assert not asyncio.run(both())


def test_errors_arrive() -> None:
    for size in (1, 10**6):
        with pytest.raises(ValueError, match="x"):
            asyncio.run(offload(size, int, "x"))


def test_work_that_nobody_waits_for_ends_at_its_next_pause() -> None:
    turns: list[int] = []
    ended = threading.Event()

    def work(_: None) -> None:
        try:
            while True:
                pause()
                turns.append(1)
                time.sleep(0.01)
        except Abandoned:
            ended.set()
            raise

    async def leave() -> None:
        working = asyncio.create_task(offload(10**6, work, None))
        await asyncio.sleep(0.05)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(leave())
    assert ended.wait(1)
    assert turns
