"""Which requests may come in, and whether one that is inside is still wanted."""

import threading
import time

from docarray import Document

from superres.errors import Cancelled, DeadlineExceeded, Overloaded


class Room:
    """Counts the Documents that are inside; refuses beyond its capacity."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.inside = 0

    def enter(self, count: int) -> None:
        """Let `count` Documents in, or raise Overloaded. An empty room takes any request."""
        if self.inside and self.inside + count > self.capacity:
            raise Overloaded(
                f"{self.inside} pictures are waiting: retry in a few seconds",
                allowed=f"at most {self.capacity} waiting pictures (max_waiting)",
            )
        self.inside += count

    def leave(self, count: int) -> None:
        """Let `count` Documents out."""
        self.inside -= count


class Watch:
    """Says between tiles whether a request's work is still wanted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.monotonic()
        self.cancelled = threading.Event()
        self.counts: dict[int, tuple[int, int]] = {}

    def note(self, document: Document, done: int, total: int) -> None:
        """Record a Document's tiles, then check."""
        self.counts[id(document)] = (done, total)
        self.check()

    def tiles(self) -> tuple[int, int]:
        """Tiles done and in all, of the Documents that have begun."""
        counts = list(self.counts.values())
        return sum(done for done, _ in counts), sum(total for _, total in counts)

    def check(self) -> None:
        """Raise Cancelled when the caller has gone, DeadlineExceeded when the time is over."""
        if self.cancelled.is_set():
            raise Cancelled("the caller has gone")
        if self.seconds and time.monotonic() - self.started > self.seconds:
            raise DeadlineExceeded(
                f"not finished within {self.seconds:g} seconds (deadline_seconds)",
                allowed="a smaller picture or a faster model",
            )
