import os
import threading
import time
from collections.abc import Iterator

import pytest

from superres.worker_pool import CpuLock, map_ordered, workers

THREADS = workers(os.getpid()).threads


def test_results_come_in_order_whatever_is_done_first() -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number % 7 == 0 else 0)
        return number

    assert list(map_ordered(slow_at_first, range(40))) == list(range(40))


def test_nothing_of_nothing() -> None:
    assert list(map_ordered(str, [])) == []
    assert list(map_ordered(str, [], threading.Lock)) == []


def test_only_a_few_are_under_way() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    for done, _ in enumerate(map_ordered(str, items())):
        assert taken <= done + THREADS + 1


def test_the_next_item_is_taken_while_the_last_is_worked_on() -> None:
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        taken.set()
        yield 1

    assert list(map_ordered(lambda _: taken.wait(5), items())) == [True, True]


def test_the_pool_works_only_within_a_turn() -> None:
    cores = threading.Lock()

    def work(number: int) -> int:
        assert cores.locked()
        return number

    def items() -> Iterator[int]:
        for number in range(5 * THREADS + 1):
            assert not cores.locked()
            yield number

    expected = list(range(5 * THREADS + 1))
    assert list(map_ordered(work, items(), lambda: cores)) == expected


@pytest.mark.parametrize("turn", [None, threading.Lock])
def test_an_error_of_the_work_is_raised_and_ends_it(turn: CpuLock | None) -> None:
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(map_ordered(fail, range(1000), turn))
    assert len(begun) <= 2 * THREADS


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(map_ordered(str, items()))


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert list(map_ordered(str, [1])) == ["1"]
    child = os.fork()
    if child == 0:
        # An error here must not run the parent's tests a second time.
        os._exit(0 if list(map_ordered(str, [1, 2])) == ["1", "2"] else 1)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended[1:] == (0,)
