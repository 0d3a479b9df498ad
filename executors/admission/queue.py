"""The admission queue: how many Documents are processed or wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from superres.errors import Overloaded

MAX_RETRY_SECONDS = 600  # seconds


class AdmissionQueue:
    """Limits how many Documents are processed or waiting; raises Overloaded beyond `capacity`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.admitted = 0
        self._lock = threading.Lock()
        self._expected: list[float] = []  # seconds of the Documents whose images are known

    def admit(self, count: int) -> None:
        """Let `count` Documents in, or raise Overloaded. An empty queue takes any request."""
        if self.admitted and self.admitted + count > self.capacity:
            seconds = self.estimate_seconds(self.admitted + count - self.capacity)
            raise Overloaded(
                f"{self.admitted} images are waiting: retry in about {seconds} s",
                allowed=f"at most {self.capacity} waiting images (max_waiting)",
                retry_after=seconds,
            )
        self.admitted += count

    def release(self, count: int) -> None:
        """Let `count` Documents out."""
        self.admitted -= count

    @contextmanager
    def expect_work(self, seconds: float) -> Iterator[None]:
        """Count a Document's work in as long as it is not done."""
        with self._lock:
            self._expected.append(seconds)
        try:
            yield
        finally:
            with self._lock:
                self._expected.remove(seconds)

    def estimate_seconds(self, places: int) -> int:
        """Return whole seconds after which as many `places` may be free, at least 1."""
        with self._lock:
            mean = sum(self._expected) / max(len(self._expected), 1)
        return min(max(ceil(mean * places), 1), MAX_RETRY_SECONDS)
