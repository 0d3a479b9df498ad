"""An enlarged image as it is made, from top to bottom, and what it cost."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from superres.geometry import Size
from superres.image.frame import Pixels

Progress = Callable[[int, int], None]  # parts done and in all

_STRIP_ROWS = 256  # rows of a strip where the whole image is there already


@dataclass
class Cost:
    """What an image took so far."""

    seconds: float = 0.0  # of model time
    peak_memory: int | None = None  # bytes, where the device tells
    tiles: int = 0
    redone: int = 0  # tiles that were computed again in fp32
    computed: int = 0  # input pixels that passed through the network
    overlap: int = 0  # input pixels that tiles share, on each side

    @classmethod
    def sum(cls, costs: Iterable["Cost"]) -> "Cost":
        """Return the cost of several frames: the sum, but the highest peak."""
        total = cls()
        for cost in costs:
            total.seconds += cost.seconds
            total.tiles += cost.tiles
            total.redone += cost.redone
            total.computed += cost.computed
            total.overlap = max(total.overlap, cost.overlap)
            if cost.peak_memory is not None:
                total.peak_memory = max(total.peak_memory or 0, cost.peak_memory)
        return total


class Result(NamedTuple):
    """An upscaled image (h, w, c) and what it cost."""

    pixels: Pixels
    cost: Cost


class RowStream:
    """Rows (n, w, c) from top to bottom, to be taken once.

    `size` is the whole result's; `cost` is complete after the last rows. Whoever stops early calls
    `close`, which ends the work.
    """

    def __init__(self, size: Size, rows: Iterator[Pixels], cost: Cost) -> None:
        self.size = size
        self.rows = rows
        self.cost = cost

    def __iter__(self) -> Iterator[Pixels]:
        return self.rows

    def close(self) -> None:
        """End the work; nothing where it is done."""
        if isinstance(self.rows, Generator):
            self.rows.close()

    def read_all(self) -> Result:
        """Return all rows as one image."""
        parts = iter(self.rows)
        first = next(parts)
        if len(first) == self.size.height:
            next(parts, None)  # what follows the last rows completes the cost
            return Result(first, self.cost)
        pixels = np.empty((self.size.height, *first.shape[1:]), first.dtype)
        pixels[: len(first)] = first
        top = len(first)
        for rows in parts:
            pixels[top : top + len(rows)] = rows
            top += len(rows)
        return Result(pixels, self.cost)


def split_into_strips(pixels: Pixels) -> Iterator[Pixels]:
    """Return a whole image (h, w, c) in strips."""
    return (pixels[top : top + _STRIP_ROWS] for top in range(0, len(pixels), _STRIP_ROWS))
