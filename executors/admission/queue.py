"""Which requests may come in, whose picture may take memory, and whether it is still wanted.

Room        how many Documents are inside
Memory      shares bytes among those that work; who does not fit waits in order of arrival
Watch       whether a request's work is still wanted
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from superres.errors import Overloaded

LONGEST_RETRY = 600  # seconds


class Room:
    """Counts the Documents that are inside and the work they are; refuses beyond its capacity."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.inside = 0
        self._lock = threading.Lock()
        self._expected: list[float] = []  # seconds of the Documents whose pictures are known

    def enter(self, count: int) -> None:
        """Let `count` Documents in, or raise Overloaded. An empty room takes any request."""
        if self.inside and self.inside + count > self.capacity:
            seconds = self.seconds_until(self.inside + count - self.capacity)
            raise Overloaded(
                f"{self.inside} pictures are waiting: retry in about {seconds} s",
                allowed=f"at most {self.capacity} waiting pictures (max_waiting)",
                retry_after=seconds,
            )
        self.inside += count

    def leave(self, count: int) -> None:
        """Let `count` Documents out."""
        self.inside -= count

    @contextmanager
    def expecting(self, seconds: float) -> Iterator[None]:
        """Counts a Document's work in as long as it is not done."""
        with self._lock:
            self._expected.append(seconds)
        try:
            yield
        finally:
            with self._lock:
                self._expected.remove(seconds)

    def seconds_until(self, places: int) -> int:
        """Whole seconds after which as many `places` may be free, at least 1."""
        with self._lock:
            mean = sum(self._expected) / max(len(self._expected), 1)
        return min(max(ceil(mean * places), 1), LONGEST_RETRY)
