"""Who may use a device now: one at a time, first come, first served."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock that is fair: whoever asks first is next, so nobody who releases it can take it again
    before those who wait. `threading.Lock` lets a busy thread starve the others.
    """

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.queue: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        mine = threading.Event()
        with self.guard:
            self.queue.append(mine)
            if len(self.queue) == 1:
                mine.set()
        mine.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.guard:
            self.queue.popleft()
            if self.queue:
                self.queue[0].set()
