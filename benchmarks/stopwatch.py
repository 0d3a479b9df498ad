"""The least time of contenders for the same work, measured in one run."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Took(NamedTuple):
    """The least seconds on the clock, and of all cores together, and what was made."""

    seconds: float
    cpu_seconds: float
    made: Any


def fastest(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Took]:
    """Return the best of `rounds` runs of each, after one that does not count, in alternating
    order.
    """
    best: dict[str, Took] = {}
    for number in range(rounds + 1):
        for name in list(contenders) if number % 2 else reversed(contenders):
            took = timed(contenders[name])
            if number <= 1 or took.seconds < best[name].seconds:
                best[name] = took
    return best


def timed(work: Callable[[], Any]) -> Took:
    """Return one run of `work`."""
    started, cpu_started = time.perf_counter(), time.process_time()
    made = work()
    return Took(time.perf_counter() - started, time.process_time() - cpu_started, made)
