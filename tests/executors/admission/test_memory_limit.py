"""The memory that a process may use, read from files as Linux writes them."""

from pathlib import Path

import pytest

from executors.admission.memory_limit import (
    LEAST,
    choose_image_memory,
    read_cgroup_limits,
    read_resident,
    usable_memory,
)

GIB = 2**30


def machine(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    """A root with 8 GiB free, this process at 1 GiB, in `cgroup`."""
    files = {
        "proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n",
        "proc/self/status": "Name: x\nVmRSS:\t 1048576 kB\n",
        "proc/self/cgroup": cgroup,
    }
    for name, text in (files | limits).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_it_is_what_is_free_and_what_the_process_has(tmp_path: Path) -> None:
    assert usable_memory(machine(tmp_path, "0::/\n", {})) == 9 * GIB


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("0::/a/b\n", {"sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n"}, 4),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n"}, 9),
        ("0::/gone\n", {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}, 2),
        (
            "4:memory:/docker/x\n0::/\n",
            {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{3 * GIB}\n"},
            3,
        ),
        (
            "4:cpu,memory:/\n",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
            9,
        ),
        ("0::/\n", {"sys/fs/cgroup/memory.max": f"{64 * GIB}\n"}, 9),
    ],
)
def test_the_least_limit_of_its_cgroups_counts(
    tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int
) -> None:
    assert usable_memory(machine(tmp_path, cgroup, limits)) == expected * GIB


def test_where_the_system_tells_nothing_the_machine_counts(tmp_path: Path) -> None:
    assert usable_memory(tmp_path) > 2**28
    assert read_resident(tmp_path) == 0
    assert not list(read_cgroup_limits(tmp_path))


def test_an_operators_figure_is_for_the_whole_process() -> None:
    asked = (read_resident() >> 20) + 500
    assert 300 * 2**20 < choose_image_memory(asked) <= 501 * 2**20


def test_there_is_always_something_for_pictures() -> None:
    assert choose_image_memory(1) == LEAST
    assert choose_image_memory(0) > LEAST
