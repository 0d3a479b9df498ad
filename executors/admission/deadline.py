"""Whether a request's work is still wanted: its deadline, its cancellation, its progress."""

import asyncio
import threading
import time

from docarray import Document

from executors.admission.budget import MemoryClaim
from superres.errors import Cancelled, DeadlineExceeded


async def wait_for_memory(claim: MemoryClaim, deadline: "Deadline") -> None:
    """Wait until `claim` is granted. Raises DeadlineExceeded."""
    try:
        await asyncio.wait_for(asyncio.wrap_future(claim.granted), deadline.seconds_left())
    except TimeoutError as error:
        raise deadline.make_error() from error


class Deadline:
    """Says between tiles whether a request's work is still wanted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.monotonic()
        self.cancelled = threading.Event()
        self.counts: dict[int, tuple[int, int]] = {}

    def note_progress(self, document: Document, done: int, total: int) -> None:
        """Record a Document's tiles, then check."""
        self.counts[id(document)] = (done, total)
        self.check()

    def count_tiles(self) -> tuple[int, int]:
        """Return tiles done and in all, of the Documents that have begun."""
        counts = list(self.counts.values())
        return sum(done for done, _ in counts), sum(total for _, total in counts)

    def seconds_left(self) -> float | None:
        """Return seconds until the deadline, None where there is none."""
        return self.started + self.seconds - time.monotonic() if self.seconds else None

    def check(self) -> None:
        """Raise Cancelled when the caller has gone, DeadlineExceeded when the time is over."""
        if self.cancelled.is_set():
            raise Cancelled("the caller has gone")
        left = self.seconds_left()
        if left is not None and left < 0:
            raise self.make_error()

    def make_error(self) -> DeadlineExceeded:
        """Return the error of a request whose time is over."""
        return DeadlineExceeded(
            f"not finished within {self.seconds:g} seconds (deadline_seconds)",
            allowed="a smaller image or a faster model",
        )
