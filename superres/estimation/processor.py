"""The processor's name."""

import platform
from pathlib import Path

__all__ = ["read_processor_name"]


def read_processor_name() -> str:
    """Return the processor's name as the system has it."""
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.exists() else []
    found = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    return found[0] if found else platform.processor()
