"""Whether a request's work is still wanted: its deadline, its cancellation, its progress."""

import asyncio
import threading
import time

from docarray import Document

from executors.admission.budget import Claim
from superres.errors import Cancelled, DeadlineExceeded


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
