"""Seconds and memory of one image, without decoding and encoding."""

import statistics

import numpy as np

from superres.comparison.cells import Values
from superres.comparison.measuring.subject import Subject

__all__ = ["measure_cost"]

_PROCESS_SPREAD = 0.15  # between two processes on an idle machine: 12 % was seen
_RUNS, _ENOUGH_SECONDS, _LONG_SECONDS = 5, 2.0, 8.0


def measure_cost(subject: Subject, width: int, height: int) -> Values:
    """Measure what one image takes.

    Args:
        subject: The contender.
        width: Of the image, in pixels.
        height: Of the image.

    Returns:
        `seconds`, the median of up to five runs, of one where it is long; `runs`, all of them;
        `spread`, their range relative to the median, or
        what processes differ by if that is more; `peak_mb` above idle, `device_mb` on CUDA,
        `tiles`; and the article's `dots_per_ms` and `dots_per_mb`, of input pixels.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    subject.reset_peak()
    cost = subject.upscale(pixels).cost
    memory = subject.measure_peak(cost)
    runs = [] if cost.seconds < _LONG_SECONDS else [cost.seconds]  # the first may make things ready
    while not runs or (len(runs) < _RUNS and sum(runs) < _ENOUGH_SECONDS):
        runs.append(subject.upscale(pixels).cost.seconds)
    seconds = statistics.median(runs)
    dots = width * height
    subject.seconds_per_megapixel = seconds / dots * 1e6
    used = max(memory.get("device_mb", memory["peak_mb"]), 0.1)
    return {
        "seconds": round(seconds, 5),
        "runs": [round(run, 5) for run in runs],
        "spread": max(round((max(runs) - min(runs)) / seconds, 3), _PROCESS_SPREAD),
        **memory,
        "tiles": cost.tiles,
        "dots_per_ms": float(f"{dots / seconds / 1000:.4g}"),
        "dots_per_mb": float(f"{dots / used:.4g}"),
    }
