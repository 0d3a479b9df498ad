"""Who may come in, whose image may take memory, and in which order."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from executors.admission.budget import MemoryBudget
from executors.admission.deadline import Deadline, wait_for_memory
from executors.admission.queue import AdmissionQueue
from superres.errors import DeadlineExceeded, Overloaded


def test_a_full_room_refuses_at_once_and_takes_again_who_leaves() -> None:
    room = AdmissionQueue(2)
    room.admit(2)
    with pytest.raises(Overloaded, match="retry"):
        room.admit(1)
    room.release(2)
    room.admit(1)


def test_an_empty_room_takes_any_request() -> None:
    room = AdmissionQueue(2)
    room.admit(5)
    assert room.admitted == 5


def test_a_full_room_tells_when_to_come_again() -> None:
    room = AdmissionQueue(2)
    room.admit(2)
    with room.expect_work(20.0), room.expect_work(40.0), pytest.raises(Overloaded) as refused:
        room.admit(2)
    assert refused.value.retry_after == 60
    assert "60 s" in str(refused.value)
    assert room.estimate_seconds(1) == 1


def test_claims_that_fit_are_granted_at_once() -> None:
    memory = MemoryBudget(100)
    claims = [memory.claim(40), memory.claim(60)]
    assert all(claim.granted.done() for claim in claims)


def test_claims_wait_in_the_order_they_came_and_none_overtakes() -> None:
    memory = MemoryBudget(100)
    first, large, small = memory.claim(60), memory.claim(80), memory.claim(10)
    assert first.granted.done() and not large.granted.done() and not small.granted.done()
    memory.release(first)
    assert large.granted.done() and small.granted.done()


def test_shared_bytes_count_once() -> None:
    memory = MemoryBudget(100)
    first, second, third = memory.claim(20, 50), memory.claim(20, 40), memory.claim(20, 50)
    assert first.granted.done() and second.granted.done()
    assert not third.granted.done()
    memory.release(second)
    assert third.granted.done()


def test_a_claim_given_up_lets_the_next_one_in() -> None:
    memory = MemoryBudget(100)
    first, large, small = memory.claim(60), memory.claim(80), memory.claim(40)
    memory.release(large)
    assert small.granted.done() and not large.granted.done()
    memory.release(first)
    memory.release(small)
    assert memory.claim(100).granted.done()


def test_an_empty_memory_grants_even_what_is_too_large() -> None:
    assert MemoryBudget(100).claim(1000).granted.done()


def test_many_threads_never_hold_more_than_there_is() -> None:
    memory, lock = MemoryBudget(100), threading.Lock()
    held, most = 0, 0

    def work(number: int) -> None:
        nonlocal held, most
        size = 10 + number * 7 % 60
        claim = memory.claim(size)
        claim.granted.result(10)
        with lock:
            held += size
            most = max(most, held)
        time.sleep(0.001)
        with lock:
            held -= size
        memory.release(claim)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))
    assert 60 < most <= 100 and held == 0


def test_waiting_for_memory_ends_with_the_deadline() -> None:
    memory = MemoryBudget(100)
    first, late = memory.claim(100), memory.claim(1)
    with pytest.raises(DeadlineExceeded):
        asyncio.run(wait_for_memory(late, Deadline(0.05)))
    memory.release(late)
    memory.release(first)
    assert memory.claim(100).granted.done()


def test_waiting_ends_when_the_memory_is_there() -> None:
    memory = MemoryBudget(100)
    first, second = memory.claim(100), memory.claim(1)

    async def wait() -> None:
        waiting = asyncio.create_task(wait_for_memory(second, Deadline(0)))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        memory.release(first)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())


def test_a_waiter_that_is_cancelled_holds_nobody_up() -> None:
    memory = MemoryBudget(100)
    first, second = memory.claim(100), memory.claim(100)

    async def cancel() -> None:
        waiting = asyncio.create_task(wait_for_memory(second, Deadline(0)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel())
    memory.release(first)
    memory.release(second)
    assert memory.claim(100).granted.done()
