"""How much memory this process takes, and took at most from a chosen moment on."""

import ctypes
import re
import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def start_afresh() -> float:
    """Return the resident memory in MiB, from which `peak` counts where the system lets it:
    proc(5).

    A new process counts from its parent's peak, which would hide much. What making ready has freed
    goes back to the system first; else a run that takes it again would seem to need nothing.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return peak()
    return from_status("VmRSS")


def peak() -> float:
    """Return the most resident memory since `start_afresh`, in MiB."""
    if STATUS.exists():
        return from_status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def from_status(field: str) -> float:
    """Return a field of Linux's account of this process, in MiB."""
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())
    assert found, f"{STATUS} has no {field}"
    return int(found[1]) / 1024
