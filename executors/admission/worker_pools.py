"""Two worker pools, for small and large images, each with its own memory budget."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from executors.admission.budget import MemoryBudget

_QUICK_SHARE = 8  # of the memory an eighth is for small images
QUICK_SECONDS = 1.0  # that a quick image takes at most
_MAX_WORKERS = 32
_READER_THREADS = 8  # sources that are read from other servers at once


def choose_worker_count() -> int:
    """Return a thread for each core, to decode and encode with, and two that wait for them."""
    return min(len(os.sched_getaffinity(0)) + 2, _MAX_WORKERS)


class WorkerPool(NamedTuple):
    """Threads, and the memory of the images they work on."""

    pool: ThreadPoolExecutor
    memory: MemoryBudget


class WorkerPools:
    """The pool `quick` and the pool `slow`, each of `workers` threads, with `capacity` bytes in
    all.

    An image is quick that takes little time, and little enough memory for one on each thread of
    the quick pool. `readers` are threads that wait for other servers.
    """

    def __init__(self, capacity: int, workers: int, name: str) -> None:
        self.workers = workers
        quick = capacity // _QUICK_SHARE
        self.quick = WorkerPool(ThreadPoolExecutor(workers, f"{name}-quick"), MemoryBudget(quick))
        self.slow = WorkerPool(
            ThreadPoolExecutor(workers, f"{name}-slow"), MemoryBudget(capacity - quick)
        )
        self.readers = ThreadPoolExecutor(_READER_THREADS, f"{name}-reader")

    @property
    def max_bytes(self) -> int:
        """Bytes that one image can have."""
        return self.slow.memory.capacity

    def choose_pool(self, held: int, shared: int, seconds: float) -> WorkerPool:
        """Choose the pool for an image that takes so many bytes, see MemoryClaim, and seconds."""
        fits = held * self.workers + shared <= self.quick.memory.capacity
        return self.quick if fits and seconds <= QUICK_SECONDS else self.slow

    def close(self) -> None:
        """Let running work end and forget the rest."""
        for pool in (self.readers, self.quick.pool, self.slow.pool):
            pool.shutdown(wait=True, cancel_futures=True)
