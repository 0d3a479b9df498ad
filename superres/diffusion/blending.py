"""Overlapping patches of an image whose weights fade into each other and sum to one."""

from typing import NamedTuple

import torch
from torch import Tensor

from superres.geometry import Box, Size, Span, split_axis


class BlendTile(NamedTuple):
    """A rectangle inside the image, and how much its columns and rows count there."""

    box: Box
    row: Tensor  # (right - left), fp32
    column: Tensor  # (bottom - top), fp32

    @property
    def weight(self) -> Tensor:
        """(bottom - top, right - left): the product of what holds across and down."""
        return self.column[:, None] * self.row

    def of(self, x: Tensor) -> Tensor:
        """Return the part of `x`, (…, h, w), in the rectangle: a view."""
        return x[..., self.box.top : self.box.bottom, self.box.left : self.box.right]

    def add(self, part: Tensor, to: Tensor) -> None:
        """Add `part`, weighted, to its place in `to`."""
        self.of(to).add_(part.to(to.device, to.dtype) * self.weight.to(to.device))


def make_blend_tiles(size: Size, edge: int, overlap: int, align: int) -> list[BlendTile]:
    """Return equal patches of at most `edge` pixels a side that cover `size`, row by row.

    Neighbours share at least twice `overlap`; sides and places are multiples of `align`, and so
    must be those of `size`. At every pixel the weights of all patches sum to one; only towards a
    neighbour do they fall, to nothing at the patch's own end, where a network sees least.
    """
    width, across = split_axis(size.width, edge, overlap, align, 0)
    height, down = split_axis(size.height, edge, overlap, align, 0)
    rows = _ramps(across, width, size.width)
    columns = _ramps(down, height, size.height)
    return [
        BlendTile(Box(x.start, y.start, x.start + width, y.start + height), row, column)
        for y, column in zip(down, columns, strict=True)
        for x, row in zip(across, rows, strict=True)
    ]


def enlarge_tile(patch: BlendTile, scale: int) -> BlendTile:
    """Return `patch` in an image `scale` times as large; each weight is repeated."""
    box = Box(*(scale * side for side in patch.box))
    return BlendTile(box, patch.row.repeat_interleave(scale), patch.column.repeat_interleave(scale))


def _ramps(places: list[Span], length: int, total: int) -> list[Tensor]:
    """For each of `places`, the weights of its `length` pixels; overlapping ones sum to one."""
    raw = [ramp(places, index, length) for index in range(len(places))]
    sums = torch.zeros(total, dtype=torch.float64)
    for place, weights in zip(places, raw, strict=True):
        sums[place.start : place.start + length] += weights
    return [
        (weights / sums[place.start : place.start + length]).float()
        for place, weights in zip(places, raw, strict=True)
    ]


def ramp(places: list[Span], index: int, length: int) -> Tensor:
    """Return one place's weights before they are balanced: 1, and falling where a neighbour takes
    over.
    """
    pixels = torch.arange(length, dtype=torch.float64) + 0.5
    weights = torch.ones(length, dtype=torch.float64)
    start = places[index].start
    if index > 0:
        shared = places[index - 1].start + length - start
        weights = torch.minimum(weights, pixels / shared)
    if index + 1 < len(places):
        shared = start + length - places[index + 1].start
        weights = torch.minimum(weights, (length - pixels) / shared)
    return weights
