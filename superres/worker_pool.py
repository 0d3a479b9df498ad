"""Threads that encode, shared by all images: as many as the machine has cores."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from itertools import islice
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# What the cores are lent for: a network whose threads wait for each other was measured to take 5
# times as long beside a busy pool.
CpuLock = Callable[[], AbstractContextManager[object]]


class Workers(NamedTuple):
    """A pool and its number of threads."""

    pool: ThreadPoolExecutor
    threads: int


def map_ordered(
    work: Callable[[Item], Result], items: Iterable[Item], lock: CpuLock | None = None
) -> Iterator[Result]:
    """Return `work` of each of `items`, in their order, made by the pool while the next ones are
    taken.

    At most one more than there are threads is under way. With `turn`, the pool works only within
    it, on a few items at a time. What `work` or `items` raise is raised here, after which nothing
    more is begun. `work` must not use the pool itself.
    """
    return _map_ahead(work, items) if lock is None else _map_in_turns(work, items, lock)


def _map_in_turns(
    work: Callable[[Item], Result], items: Iterable[Item], lock: CpuLock
) -> Iterator[Result]:
    """Yield `work` of a few items at a time, within a turn."""
    pool, threads = workers(os.getpid())
    left = iter(items)
    while some := list(islice(left, 2 * threads)):
        with lock():
            done = list(pool.map(work, some))
        yield from done


def _map_ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `work` of items that are made meanwhile."""
    pool, threads = workers(os.getpid())
    running: deque[Future[Result]] = deque()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


@cache
def workers(_process: int) -> Workers:
    """Return the workers of a process. A forked one has none of its parent's threads, hence its
    number.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Workers(ThreadPoolExecutor(threads or 1, thread_name_prefix="encode"), threads or 1)
