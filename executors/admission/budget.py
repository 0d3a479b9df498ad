"""The memory budget: bytes shared among the images that are worked on, in order of arrival."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(eq=False)
class MemoryClaim:
    """Bytes that an image takes: `held` as long as it is worked on, `shared` in turns.

    `granted` is done once they are there.
    """

    held_bytes: int
    shared_bytes: int = 0
    granted: "Future[None]" = field(default_factory=Future)


class MemoryBudget:
    """Shares `capacity` bytes. Claims are granted in the order they come: none overtakes another,
    so none waits for ever. Where nothing is taken any claim is granted. Safe to use from threads.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._waiting: deque[MemoryClaim] = deque()
        self._running: list[MemoryClaim] = []

    def claim(self, held: int, shared: int = 0) -> MemoryClaim:
        """Claim bytes; granted at once if it fits and nobody waits. It must be released."""
        made = MemoryClaim(held, shared)
        with self._lock:
            self._waiting.append(made)
            self._grant()
        return made

    def release(self, claim: MemoryClaim) -> None:
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

    def _fits(self, claim: MemoryClaim) -> bool:
        claims = [*self._running, claim]
        held = sum(one.held_bytes for one in claims)
        # One image at a time has the network's turn, and with it the shared bytes.
        taken = held + max(one.shared_bytes for one in claims)
        return not self._running or taken <= self.capacity
