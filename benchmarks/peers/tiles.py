"""Tiling as most programs do it: equal tiles, a fixed overlap, floats, one after the other."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.case import Output, Pixels, to_floats, to_levels
from superres.geometry import Box, Size, Tile, split_into_tiles

Floats = NDArray[np.float32]


def in_tiles(
    network: Callable[[Floats], Floats], pixels: Pixels, scale: int, tile: int, overlap: int
) -> Output:
    """Return the image enlarged by `network`, (1, 3, h, w) to `scale` times, in equal tiles.

    Each sees at most `tile` pixels a side, `overlap` of them beyond what is kept of it.
    """
    height, width = pixels.shape[:2]
    x = to_floats(pixels).numpy()
    y = np.empty((3, height * scale, width * scale), np.float32)
    made = split_into_tiles(Size(width, height), Size(tile, tile), overlap)
    for part in made:
        seen, core = part.outer, part.core
        y[area(core, scale)] = network(x[(0, *area(seen))][None])[(0, *inner(part, scale))]
    return Output(
        to_levels(y, height * scale, width * scale), len(made) * made[0].outer.size.pixels
    )


def area(box: Box, scale: int = 1) -> tuple[slice, slice, slice]:
    """Return `box` of a (3, h, w) array, its sides times `scale`."""
    rows = slice(box.top * scale, box.bottom * scale)
    return slice(None), rows, slice(box.left * scale, box.right * scale)


def inner(part: Tile, scale: int) -> tuple[slice, slice, slice]:
    """Return where the core of a tile lies in what the network makes of it."""
    seen, core = part
    return area(
        Box(
            core.left - seen.left,
            core.top - seen.top,
            core.right - seen.left,
            core.bottom - seen.top,
        ),
        scale,
    )
