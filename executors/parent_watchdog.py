"""An Executor does not outlive the Flow that started it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 1.0
GRACE_SECONDS = 12.0  # longer than the gateway drains


def follow(busy: Callable[[], bool]) -> None:
    """End this process with SIGTERM once its parent is gone and it is not `busy` any more.

    `jina flow` has no handler for SIGTERM, and its children would keep their ports. Nothing is
    followed where no Python process is the parent, as with `jina executor` in a container.
    """
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=watch, args=(os.getppid(), busy), daemon=True).start()


def watch(parent: int, busy: Callable[[], bool]) -> None:
    """Return never, or with the process's end."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + GRACE_SECONDS
    while busy() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
