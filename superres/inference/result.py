"""An enlarged picture as it is made, from top to bottom, and what it cost."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from superres.geometry import Size
from superres.image.frame import Pixels

Progress = Callable[[int, int], None]  # parts done and in all

HEIGHT = 256  # rows of a strip where the whole picture is there already


class Result(NamedTuple):
    """A picture and what it cost: `seconds` of model time, `peak_memory` in bytes or None."""

    pixels: Pixels
    seconds: float
    peak_memory: int | None
    tiles: int
    redone: int  # tiles that were computed again in fp32
    computed: int = 0  # input pixels that passed through the network


@dataclass
class Cost:
    """What a picture took so far: `seconds` of model time, `peak_memory` in bytes or None."""

    seconds: float = 0.0
    peak_memory: int | None = None
    tiles: int = 0
    redone: int = 0  # tiles that were computed again in fp32
    computed: int = 0  # input pixels that passed through the network


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
        """All rows as one picture."""
        parts = iter(self.rows)
        first = next(parts)
        cost = self.cost
        if len(first) == self.size.height:
            next(parts, None)  # what follows the last rows completes the cost
            pixels = first
        else:
            pixels = np.empty((self.size.height, *first.shape[1:]), first.dtype)
            pixels[: len(first)] = first
            top = len(first)
            for rows in parts:
                pixels[top : top + len(rows)] = rows
                top += len(rows)
        return Result(
            pixels, cost.seconds, cost.peak_memory, cost.tiles, cost.redone, cost.computed
        )


def split_into_strips(pixels: Pixels) -> Iterator[Pixels]:
    """A whole picture (h, w, c) in strips."""
    return (pixels[top : top + HEIGHT] for top in range(0, len(pixels), HEIGHT))
