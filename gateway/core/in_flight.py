"""Which requests are being answered, how many may be, and when none is left."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from contract.problem import ProblemError, make_error

SHUTTING_DOWN = make_error("UNAVAILABLE", "the server is shutting down: retry later").problem


class RequestsInFlight:
    """The requests that are being answered: at most `limit`, no new ones after `drain`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.draining = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._tasks)

    @contextmanager
    def count_one(self) -> Iterator[None]:
        """Count the current task in. Raises ProblemError UNAVAILABLE or OVERLOADED."""
        if self.draining:
            raise ProblemError(SHUTTING_DOWN)
        if len(self._tasks) >= self.limit:
            raise make_error(
                "OVERLOADED", f"{self.limit} requests are waiting already: retry later"
            )
        task = asyncio.current_task()
        assert task is not None and task not in self._tasks
        self._tasks.add(task)
        self._idle.clear()
        try:
            yield
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()

    async def drain(self, seconds: float) -> int:
        """Refuse new requests; return how many were cancelled because `seconds` were not enough to
        finish them.
        """
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            late = list(self._tasks)
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=1)
            return len(late)
        return 0
