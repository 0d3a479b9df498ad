"""How much memory this process may use: the container's limit, or what the machine has left."""

import os
from collections.abc import Iterator
from pathlib import Path

SHARE = 0.75  # of usable memory; the rest is for the gateway, messages and what is not estimated
LEAST = 64 * 2**20  # bytes
MEBIBYTE = 2**20
UNLIMITED = 2**60  # bytes; cgroups of version 1 write a number near 2**63 for no limit
_KIB = 1024


def choose_image_memory(megabytes: int) -> int:
    """Return bytes that images may take beside what this process has already.

    `megabytes` is what the process may use in all, 0 to choose.
    """
    all_of_it = megabytes * MEBIBYTE or int(usable_memory() * SHARE)
    return max(all_of_it - read_resident(), LEAST)


def usable_memory(root: Path = Path("/")) -> int:
    """Return bytes: what is free now and what this process has, or the cgroup's limit if that is
    less.

    `root` is the folder that holds `proc` and `sys`.
    """
    return min([_read_available(root) + read_resident(root), *read_cgroup_limits(root)])


def _read_available(root: Path = Path("/")) -> int:
    """Return bytes that the system could give to processes without swapping."""
    value = _read_field(root / "proc/meminfo", "MemAvailable:")
    if value is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return value


def read_resident(root: Path = Path("/")) -> int:
    """Return bytes of memory that this process has now; 0 where the system does not say."""
    return _read_field(root / "proc/self/status", "VmRSS:") or 0


def _read_field(path: Path, name: str) -> int | None:
    """Return a field in kB of a file of Linux's /proc, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(name)]
    return int(found[0]) * _KIB if found else None


def read_cgroup_limits(root: Path = Path("/")) -> Iterator[int]:
    """Yield the memory limits of the cgroups that this process is in, versions 1 and 2, in
    bytes.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _read_limits(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _read_limits(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _read_limits(mount: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits from a cgroup up to the root. Inside a container the path may not be
    there.
    """
    folder = mount / path.lstrip("/")
    for one in (folder, *folder.parents):
        try:
            text = (one / name).read_text().strip()
        except OSError:
            text = "max"
        if text.isdigit() and int(text) < UNLIMITED:
            yield int(text)
        if one == mount:
            return
