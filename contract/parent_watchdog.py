"""A process that a Flow started does not outlive it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

__all__ = ["end_with_parent"]

POLL_SECONDS = 0.5
_GRACE_SECONDS = 12.0  # longer than the gateway drains


def end_with_parent(is_busy: Callable[[], bool] = lambda: False) -> None:
    """End this process with SIGTERM, which drains it, once its parent is gone and it is not busy.

    `jina flow` has no handler for SIGTERM, and its children would keep their ports. Nothing is
    watched where no Python process is the parent, as with `jina executor` in a container.
    """
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_watch, args=(os.getppid(), is_busy), daemon=True).start()


def _watch(parent: int, is_busy: Callable[[], bool]) -> None:
    """End the process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + _GRACE_SECONDS
    while is_busy() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
