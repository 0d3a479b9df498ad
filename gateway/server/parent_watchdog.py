"""A gateway does not outlive the Flow that started it.

The Executors have the same in executors/parent_watchdog.py: neither package knows the other.
"""

import multiprocessing
import os
import signal
import threading
import time

POLL_SECONDS = 0.5


def follow() -> None:
    """End this process with SIGTERM, which drains it, once its parent is gone.

    `jina flow` has no handler for SIGTERM, and its children would keep the port.
    """
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


def watch(parent: int) -> None:
    """Return with the process's end."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
