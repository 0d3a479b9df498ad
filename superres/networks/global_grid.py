"""Tiles of a network that sees the whole image, made exact: the image is surveyed first.

DIPNet's attention reads a coarse grid pooled from the whole image, so no overlap makes tiles
equal it. But the grid is small and each of its cells has a small field. Block after block, a pass
over all tiles collects the cells of the next grid; then each tile is computed with its part of
every grid. Four passes of growing depth and the last cost about 3.5 times the whole image's
arithmetic, and memory only for one tile.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from superres.geometry import Box, Size, Tile


class GlobalGridNetwork(Protocol):
    """A network whose blocks each read a grid of the whole image."""

    grid_stride: int  # pixels between cells
    block_count: int

    def count_cells(self, length: int) -> int:
        """Return how many cells lie along a side of `length` pixels."""

    def pool_cells(self, x: Tensor, *grids: Tensor) -> Tensor:
        """Return the pooled cells (1, c, gh, gw) of block `len(grids)` in `x`, given the grids
        before.
        """

    def compute_grid(self, block: int, pooled: Tensor) -> Tensor:
        """Return the grid of a block from its pooled cells, same shape."""


def count_passes(network: GlobalGridNetwork, tiles: int) -> int:
    """Return how many tiles are computed in all: those of the surveys and those of the result."""
    return (network.block_count + 1) * tiles if tiles > 1 else tiles


class Survey:
    """The grids of an image, as far as they are known."""

    def __init__(self, network: GlobalGridNetwork, size: Size) -> None:
        self.network = network
        self.size = size
        self.grids: list[Tensor] = []
        self.pooled: Tensor | None = None

    def collect(self, x: Tensor, tile: Tile) -> None:
        """Collect the cells that belong to the core of `tile`; `x` is its outer box."""
        found = self.network.pool_cells(x, *self.interpolate_grids(tile.outer, x))
        if self.pooled is None:
            cells = (
                self.network.count_cells(self.size.height),
                self.network.count_cells(self.size.width),
            )
            self.pooled = found.new_zeros(1, found.shape[1], *cells)
        stride = self.network.grid_stride
        top, left = tile.outer.top // stride, tile.outer.left // stride
        rows = _find_cells(tile.core.top, tile.core.bottom, stride, self.pooled.shape[2])
        columns = _find_cells(tile.core.left, tile.core.right, stride, self.pooled.shape[3])
        self.pooled[..., rows.start : rows.stop, columns.start : columns.stop] = found[
            ..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]

    def close_pass(self) -> None:
        """Compute the next grid, once all tiles were collected."""
        assert self.pooled is not None
        self.grids.append(self.network.compute_grid(len(self.grids), self.pooled))
        self.pooled = None

    def interpolate_grids(self, box: Box, like: Tensor) -> Iterator[Tensor]:
        """Yield every known grid (1, c, h, w), interpolated to the pixels of `box`."""
        for grid in self.grids:
            rows = make_bilinear_weights(self.size.height, grid.shape[2], box.top, box.bottom)
            columns = make_bilinear_weights(self.size.width, grid.shape[3], box.left, box.right)
            whole = rows.to(grid.device) @ grid.float() @ columns.to(grid.device).T
            yield whole.to(like.dtype)


def _find_cells(first: int, last: int, stride: int, cells: int) -> range:
    """Return the cells whose corner lies in the pixels `first` to `last` of an axis."""
    return range(min(-(-first // stride), cells), min(-(-last // stride), cells))


def make_bilinear_weights(length: int, cells: int, first: int, last: int) -> Tensor:
    """Return (last - first, cells) weights of `interpolate(mode="bilinear",
    align_corners=False)`.
    """
    places = (torch.arange(first, last, dtype=torch.float64) + 0.5) * cells / length - 0.5
    places = places.clamp(min=0)
    low = places.floor().long().clamp(max=cells - 1)
    high = (low + 1).clamp(max=cells - 1)
    share = (places - low)[:, None]
    matrix = torch.zeros(last - first, cells, dtype=torch.float64)
    matrix.scatter_add_(1, low[:, None], 1 - share)
    matrix.scatter_add_(1, high[:, None], share)
    return matrix.float()
