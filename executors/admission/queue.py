"""Which requests may come in, whose picture may take memory, and whether it is still wanted.

Room        how many Documents are inside
Memory      shares bytes among those that work; who does not fit waits in order of arrival
Watch       whether a request's work is still wanted
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from docarray import Document

from superres.errors import Cancelled, DeadlineExceeded, Overloaded

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


@dataclass(eq=False)
class Claim:
    """Bytes that a picture takes: `held` as long as it is worked on, `shared` in turns.

    `granted` is done once they are there.
    """

    held: int
    shared: int = 0
    granted: "Future[None]" = field(default_factory=Future)


class Memory:
    """Shares `capacity` bytes. Claims are granted in the order they come: none overtakes another,
    so none waits for ever. Where nothing is taken any claim is granted. Safe to use from threads.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._waiting: deque[Claim] = deque()
        self._running: list[Claim] = []

    def claim(self, held: int, shared: int = 0) -> Claim:
        """A claim, granted at once if it fits and nobody waits. It must be released."""
        made = Claim(held, shared)
        with self._lock:
            self._waiting.append(made)
            self._grant()
        return made

    def release(self, claim: Claim) -> None:
        """Give the bytes of a claim back, or give it up."""
        with self._lock:
            if claim in self._running:
                self._running.remove(claim)
            else:
                self._waiting.remove(claim)
            self._grant()

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            claim = self._waiting.popleft()
            self._running.append(claim)
            if claim.granted.set_running_or_notify_cancel():
                claim.granted.set_result(None)

    def _fits(self, claim: Claim) -> bool:
        claims = [*self._running, claim]
        held = sum(one.held for one in claims)
        # One picture at a time has the network's turn, and with it the shared bytes.
        taken = held + max(one.shared for one in claims)
        return not self._running or taken <= self.capacity


async def granted(claim: Claim, watch: "Watch") -> None:
    """Return once `claim` is granted. Raises DeadlineExceeded."""
    try:
        await asyncio.wait_for(asyncio.wrap_future(claim.granted), watch.left())
    except TimeoutError as error:
        raise watch.late() from error


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

    def left(self) -> float | None:
        """Seconds until the deadline, None where there is none."""
        return self.started + self.seconds - time.monotonic() if self.seconds else None

    def check(self) -> None:
        """Raise Cancelled when the caller has gone, DeadlineExceeded when the time is over."""
        if self.cancelled.is_set():
            raise Cancelled("the caller has gone")
        left = self.left()
        if left is not None and left < 0:
            raise self.late()

    def late(self) -> DeadlineExceeded:
        """The error of a request whose time is over."""
        return DeadlineExceeded(
            f"not finished within {self.seconds:g} seconds (deadline_seconds)",
            allowed="a smaller picture or a faster model",
        )
