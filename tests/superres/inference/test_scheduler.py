import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import chain, pairwise
from typing import Any

import pytest
import torch

from superres.inference.scheduler import BATCHES_IN_FLIGHT, RequestQueue, Scheduler, Task

SECONDS = 20


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler()
    yield made
    made.close()


class Calls:
    """Doubles numbers and remembers what was asked in one call."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        return [2 * item for item in items]


class Later:
    """Doubles numbers like a device that computes by itself: what happened is in `log`."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __call__(self, items: Sequence[int]) -> "Later.Batch":
        self.log.append(f"launch {items[0]}")
        return Later.Batch(self.log, items)

    class Batch:
        def __init__(self, log: list[str], items: Sequence[int]) -> None:
            self.log, self.items = log, items

        def result(self) -> list[int]:
            self.log.append(f"finish {self.items[0]}")
            return [2 * item for item in self.items]


@contextmanager
def held(scheduler: Scheduler) -> Iterator[None]:
    """While it is open nothing is begun, so that what is submitted meets in the queue."""
    begun, over = threading.Event(), threading.Event()

    def wait_for_it(items: Sequence[None]) -> Sequence[None]:
        begun.set()
        assert over.wait(SECONDS)
        return items

    scheduler.open_queue().submit(Task(wait_for_it, None, cost=0))
    assert begun.wait(SECONDS)
    try:
        yield
    finally:
        over.set()


def submit(line: RequestQueue, run: Any, items: Sequence[int], **given: Any) -> list[Future[int]]:
    return [line.submit(Task(run, item, **given)) for item in items]


def flat(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


def results(futures: Sequence[Future[Any]]) -> list[Any]:
    return [future.result(SECONDS) for future in futures]


def test_every_work_gets_its_own_result(scheduler: Scheduler) -> None:
    calls = Calls()
    with scheduler.open_queue() as line:
        futures = submit(line, calls, range(20), key="a", max_batch_size=4)
        assert results(futures) == [2 * item for item in range(20)]
    assert sorted(flat(calls.seen)) == list(range(20))


def test_equal_works_of_all_lines_are_done_in_one_call(scheduler: Scheduler) -> None:
    calls, lines = Calls(), [scheduler.open_queue() for _ in range(3)]
    with held(scheduler):
        futures = [
            submit(line, calls, [n], key="a", max_batch_size=8) for n, line in enumerate(lines)
        ]
    results(flat(futures))
    assert calls.seen == [[0, 1, 2]]


def test_a_batch_takes_one_of_each_line_before_more_of_the_same(scheduler: Scheduler) -> None:
    calls, large, small = Calls(), scheduler.open_queue(), scheduler.open_queue()
    with held(scheduler):
        futures = submit(large, calls, range(5), key="a", max_batch_size=4)
        futures += submit(small, calls, [10], key="a", max_batch_size=4)
    results(futures)
    assert sorted(calls.seen[0]) == [0, 1, 2, 10]


def test_no_call_gets_more_than_its_works_allow(scheduler: Scheduler) -> None:
    calls = Calls()
    with held(scheduler), scheduler.open_queue() as line:
        futures = submit(line, calls, range(10), key="a", max_batch_size=4)
    # Leaving the line dropped them; a second line does them.
    assert all(future.cancelled() for future in futures)
    with held(scheduler):
        futures = submit(scheduler.open_queue(), calls, range(10), key="a", max_batch_size=4)
    results(futures)
    assert [len(call) for call in calls.seen] == [4, 4, 2]


@pytest.mark.parametrize("keys", [(None, None), ("a", "b")], ids=str)
def test_unequal_works_are_done_apart(scheduler: Scheduler, keys: tuple[str | None, ...]) -> None:
    calls = Calls()
    with held(scheduler):
        futures = [
            scheduler.open_queue().submit(Task(calls, n, key, max_batch_size=8))
            for n, key in enumerate(keys)
        ]
    results(futures)
    assert calls.seen == [[0], [1]]


def test_the_first_call_does_not_wait_for_its_batch_to_fill(scheduler: Scheduler) -> None:
    with scheduler.open_queue() as line:
        assert line.submit(Task(Calls(), 1, "a", max_batch_size=64)).result(SECONDS) == 2


def test_a_small_line_waits_for_one_call_of_a_large_one(scheduler: Scheduler) -> None:
    calls, large, small = Calls(), scheduler.open_queue(), scheduler.open_queue()
    late: list[Future[int]] = []

    def first(items: Sequence[int]) -> list[int]:
        late.extend(submit(small, calls, [10, 11], cost=1))
        return calls(items)

    with held(scheduler):
        futures = submit(large, first, [0], cost=1000)
        futures += submit(large, calls, range(1, 5), cost=1000)
    results([*futures, *late])
    assert flat(calls.seen)[:3] == [0, 10, 11]


def test_lines_get_equal_shares_by_cost(scheduler: Scheduler) -> None:
    calls = Calls()
    with held(scheduler):
        futures = submit(scheduler.open_queue(), calls, [1] * 40, cost=1)
        futures += submit(scheduler.open_queue(), calls, [4] * 10, cost=4)
    results(futures)
    served = flat(calls.seen)
    for done in range(1, len(served) + 1):
        ones, fours = served[:done].count(1), served[:done].count(4)
        assert abs(ones - 4 * fours) <= 8


def test_many_small_requests_do_not_starve_a_large_one(scheduler: Scheduler) -> None:
    served: list[str] = []
    waiting = [200]

    def small(items: Sequence[str]) -> Sequence[str]:
        served.extend(items)
        if waiting[0]:
            waiting[0] -= 1
            scheduler.open_queue().submit(Task(small, "small", cost=10))
        return items

    def large(items: Sequence[str]) -> Sequence[str]:
        served.extend(items)
        return items

    with held(scheduler):
        line = scheduler.open_queue()
        futures = [line.submit(Task(large, "large", cost=100)) for _ in range(3)]
        scheduler.open_queue().submit(Task(small, "small", cost=10))
    wait(futures, SECONDS)
    # Two lines at a time: the large one is due after about ten small ones.
    gaps = "".join("L" if name == "large" else "s" for name in served).split("L")
    assert max(map(len, gaps[:3])) <= 40


def test_running_out_of_memory_halves_the_batch_for_good(scheduler: Scheduler) -> None:
    seen: list[int] = []

    def narrow(items: Sequence[int]) -> list[int]:
        seen.append(len(items))
        if len(items) > 2:
            raise torch.OutOfMemoryError("too much")
        return [2 * item for item in items]

    for _ in range(2):
        with held(scheduler):
            futures = submit(scheduler.open_queue(), narrow, range(8), key="a", max_batch_size=8)
        assert results(futures) == [2 * item for item in range(8)]
    assert seen == [8, 4, 2, 2, 4, 2, 2] + [2] * 4


def test_a_work_alone_that_runs_out_of_memory_is_told_so(scheduler: Scheduler) -> None:
    def full(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise torch.OutOfMemoryError("too much")
        return list(items)

    with held(scheduler):
        futures = submit(scheduler.open_queue(), full, range(4), key="a", max_batch_size=4)
    assert results(futures[:3]) == [0, 1, 2]
    assert isinstance(futures[3].exception(SECONDS), torch.OutOfMemoryError)


def test_what_a_failed_call_had_computed_is_gone_before_the_next_try(scheduler: Scheduler) -> None:
    class Activations:
        pass

    made: list[weakref.ref[Activations]] = []
    alive: list[int] = []

    def narrow(items: Sequence[int]) -> list[int]:
        alive.append(sum(ref() is not None for ref in made))
        activations = Activations()
        made.append(weakref.ref(activations))
        if len(items) > 1 or 3 in items:
            raise torch.OutOfMemoryError("too much")
        return list(items)

    with held(scheduler):
        futures = submit(scheduler.open_queue(), narrow, range(4), key="a", max_batch_size=4)
    error = futures[3].exception(SECONDS)
    assert isinstance(error, torch.OutOfMemoryError)
    assert len(alive) > 4 and not any(alive)
    assert made[-1]() is None


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_bad_work_does_not_harm_its_neighbours(
    scheduler: Scheduler, error: type[BaseException]
) -> None:
    def picky(items: Sequence[int]) -> list[int]:
        if 2 in items:
            raise error("two")
        return [2 * item for item in items]

    with held(scheduler):
        futures = submit(scheduler.open_queue(), picky, range(4), key="a", max_batch_size=4)
    with pytest.raises(error, match="two"):
        futures.pop(2).result(SECONDS)
    assert results(futures) == [0, 2, 6]


def test_a_call_that_gives_too_few_results_is_an_error(scheduler: Scheduler) -> None:
    future = scheduler.open_queue().submit(Task(lambda items: [], 1))
    with pytest.raises(AssertionError, match="0 results for 1"):
        future.result(SECONDS)


def test_leaving_a_line_drops_what_has_not_begun(scheduler: Scheduler) -> None:
    calls, other = Calls(), scheduler.open_queue()

    def leave() -> None:
        with scheduler.open_queue() as line:
            futures.extend(submit(line, calls, range(5)))
            raise TimeoutError("the caller gave up")

    futures: list[Future[int]] = []
    with held(scheduler):
        with pytest.raises(TimeoutError):
            leave()
        kept = submit(other, calls, [10])
    results(kept)
    assert all(future.cancelled() for future in futures)
    assert calls.seen == [[10]]


def test_who_waits_for_a_dropped_work_learns_it_at_once(scheduler: Scheduler) -> None:
    line = scheduler.open_queue()
    with held(scheduler):
        (future,) = submit(line, Calls(), [1])
        threading.Timer(0.05, line.cancel).start()
        with pytest.raises(CancelledError):
            future.result(SECONDS)


def test_a_cancelled_future_is_skipped(scheduler: Scheduler) -> None:
    calls, line = Calls(), scheduler.open_queue()
    with held(scheduler):
        futures = submit(line, calls, range(4), key="a", max_batch_size=4)
        futures[0].cancel()
        futures[2].cancel()
    assert results([futures[1], futures[3]]) == [2, 6]
    assert calls.seen == [[1, 3]]


def test_a_line_can_be_used_again_after_it_was_empty_or_cancelled(scheduler: Scheduler) -> None:
    line = scheduler.open_queue()
    assert results(submit(line, Calls(), [1])) == [2]
    with held(scheduler):
        submit(line, Calls(), range(5))
        line.cancel()
    assert results(submit(line, Calls(), [3])) == [6]
    with held(scheduler):
        assert scheduler.queue.busy == 1  # what holds it
        assert not scheduler.queue.waiting


def test_the_next_batch_is_launched_while_one_is_computed(scheduler: Scheduler) -> None:
    log: list[str] = []
    with held(scheduler):
        futures = submit(scheduler.open_queue(), Later(log), range(4), key="a")
    assert results(futures) == [0, 2, 4, 6]
    assert BATCHES_IN_FLIGHT == 2
    assert log == [
        *("launch 0", "launch 1", "finish 0", "launch 2"),
        *("finish 1", "launch 3", "finish 2", "finish 3"),
    ]


def test_nothing_overlaps_a_work_without_a_key(scheduler: Scheduler) -> None:
    log: list[str] = []
    with held(scheduler):
        line = scheduler.open_queue()
        futures = submit(line, Later(log), [0], key="a")
        futures += submit(line, Later(log), [1])
    results(futures)
    assert log == ["launch 0", "finish 0", "launch 1", "finish 1"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("else")], ids=str)
def test_a_batch_that_fails_on_the_device_is_tried_in_parts(
    scheduler: Scheduler, error: Exception
) -> None:
    class Fails:
        def __init__(self, items: Sequence[int]) -> None:
            self.items = items

        def result(self) -> list[int]:
            if len(self.items) > 1:
                raise error
            return list(self.items)

    with held(scheduler):
        futures = submit(scheduler.open_queue(), Fails, range(5), key="a", max_batch_size=4)
    assert results(futures) == list(range(5))


def test_a_turn_has_the_device_alone_and_in_its_order(scheduler: Scheduler) -> None:
    log: list[str] = []

    def take(name: str) -> None:
        with scheduler.open_queue() as line:
            for _ in range(3):
                with line.lock():
                    log.append(f"{name} in")
                    time.sleep(0.001)
                    log.append(f"{name} out")

    with held(scheduler):
        threads = [threading.Thread(target=take, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        futures = submit(scheduler.open_queue(), Later(log), range(3), key="a")
        time.sleep(0.05)
    results(futures)
    for thread in threads:
        thread.join(SECONDS)
    assert len(log) == 18
    for begin, end in pairwise(log):
        if begin.endswith(" in"):
            assert end == begin.replace(" in", " out")
    assert [entry[0] for entry in log if entry.endswith("in")][:4] in (list("abab"), list("baba"))


def test_an_error_in_a_turn_gives_the_device_back(scheduler: Scheduler) -> None:
    with pytest.raises(ValueError, match="mine"), scheduler.lock():
        raise ValueError("mine")
    assert results(submit(scheduler.open_queue(), Calls(), [1])) == [2]


def test_a_turn_that_is_cancelled_never_begins(scheduler: Scheduler) -> None:
    line = scheduler.open_queue()
    with held(scheduler):
        threading.Timer(0.05, line.cancel).start()
        with pytest.raises(CancelledError), line.lock():
            pytest.fail("the turn began")


def test_closing_finishes_what_has_begun_and_cancels_the_rest() -> None:
    scheduler = Scheduler()
    line = scheduler.open_queue()
    begun = threading.Event()

    def slow(items: Sequence[int]) -> Sequence[int]:
        begun.set()
        time.sleep(0.05)
        return items

    first, second = submit(line, slow, [1, 2])
    assert begun.wait(SECONDS)
    scheduler.close()
    assert first.result(0) == 1
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        line.submit(Task(slow, 3))


def test_closing_waits_for_what_the_device_still_computes() -> None:
    scheduler, log = Scheduler(), list[str]()
    (future,) = submit(scheduler.open_queue(), Later(log), [1], key="a")
    while not log:
        time.sleep(0.001)
    scheduler.close()
    assert future.result(0) == 2


def test_a_scheduler_without_work_has_no_thread_and_a_forgotten_one_ends_its_own() -> None:
    scheduler = Scheduler()
    assert scheduler.queue.thread is None
    assert results(submit(scheduler.open_queue(), Calls(), [1])) == [2]
    thread = scheduler.queue.thread
    assert thread is not None and thread.is_alive() and thread.daemon  # type: ignore[unreachable]
    del scheduler
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()


LIFE = """
import os, threading
from superres.inference.scheduler import Scheduler, Task

scheduler = Scheduler()
submit = lambda: scheduler.open_queue().submit(Task(lambda items: items, os.getpid())).result(20)
assert submit() == os.getpid()
lock = scheduler.queue.changed
with lock:  # as another thread may hold it while this one forks
    child = os.fork()
if not child:
    assert submit() == os.getpid()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert submit() == os.getpid()
scheduler.open_queue().submit(Task(lambda items: items, 1))
print("end", flush=True)
"""


def test_a_forked_process_begins_anew_and_nothing_keeps_a_process_alive() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIFE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "end\n"), ended.stderr


def test_many_threads_get_their_own_results(scheduler: Scheduler) -> None:
    def narrow(items: Sequence[int]) -> list[int]:
        if len(items) > 5:
            raise torch.OutOfMemoryError
        if any(item % 17 == 0 for item in items):
            raise ValueError
        return [2 * item for item in items]

    def client(number: int) -> int:
        right = 0
        for start in range(5):
            with scheduler.open_queue() as line:
                items = range(100 * number + 10 * start, 100 * number + 10 * start + 10)
                key = f"key {number % 3}"
                futures = submit(line, narrow, items, key=key, max_batch_size=8, cost=number + 1)
                if start == 3:
                    continue  # left at once
                for item, future in zip(items, futures, strict=True):
                    error = future.exception(SECONDS)
                    right += (
                        isinstance(error, ValueError)
                        if item % 17 == 0
                        else (error is None and future.result() == 2 * item)
                    )
        return right

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(client, range(16))) == [40] * 16
    with held(scheduler):
        assert not scheduler.queue.waiting
        assert scheduler.queue.busy == 1
