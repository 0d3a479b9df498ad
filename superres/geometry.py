"""Sizes and rectangles in whole pixels, and how an image is covered by equal tiles."""

from itertools import pairwise
from typing import NamedTuple


class Size(NamedTuple):
    """Width and height in pixels, in that order."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width × height."""
        return self.width * self.height

    def times(self, scale: int) -> "Size":
        """Return both sides multiplied by `scale`."""
        return Size(self.width * scale, self.height * scale)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A rectangle, right and bottom exclusive; it may stick out of an image."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.right - self.left, self.bottom - self.top)


class Tile(NamedTuple):
    """`outer` is what the network sees, `core` the part of its result that is kept."""

    outer: Box
    core: Box


class Span(NamedTuple):
    """A tile along one axis: seen from `start` on, kept from `first` to `last`."""

    start: int
    first: int
    last: int


def split_axis(
    length: int, tile: int, overlap: int, align: int, rim: int
) -> tuple[int, list[Span]]:
    """Return the common length of equal tiles along an axis of `length` pixels, and the tiles.

    Each tile sees at most `tile` pixels (more only where `2·overlap + align` is more), starts at a
    multiple of `align` counted from `-rim`, and is kept where it is at least `overlap` pixels from
    its ends, or up to the image's border. `rim` pixels before and behind the image belong to
    the axis: the caller fills them. All lengths are multiples of `align`.
    """
    #      ├──── tile ────┤                  what a tile sees
    #      ├─ margin ┼─ kept ─┼─ margin ─┤   neighbours overlap by twice the margin,
    #                     ├──── tile ────┤   and are cut in the middle of what both see
    whole = round_up(length + 2 * rim, align)
    tile = max(round_up(min(tile, whole), align), 2 * round_up(overlap, align) + align)
    if tile >= whole:
        return whole, [Span(-rim, 0, length)]
    margin = round_up(overlap, align)
    steps = -(-(whole - tile) // (tile - 2 * margin))
    # The shortest common length that still covers the axis in this number of tiles.
    tile = min(tile, round_up(-(-(whole + steps * 2 * margin) // (steps + 1)), align))
    starts = [round_up((whole - tile) * i // steps, align) for i in range(steps + 1)]
    cuts = [(a + tile + b) // 2 for a, b in pairwise(starts)]
    edges = [0, *(min(max(cut - rim, 0), length) for cut in cuts), length]
    return tile, [
        Span(start - rim, first, last)
        for start, first, last in zip(starts, edges, edges[1:], strict=False)
        if first < last
    ]


def split_into_tiles(
    size: Size, tile: Size, overlap: int, align: int = 1, rim: int = 0
) -> list[Tile]:
    """Return equal tiles, row by row, whose cores partition an image of `size`.

    Outer boxes all have one size, a multiple of `align`; they begin at multiples of `align` from
    `-rim` and may stick out of the image by `rim` pixels and what the multiple needs.
    """
    width, across = split_axis(size.width, tile.width, overlap, align, rim)
    height, down = split_axis(size.height, tile.height, overlap, align, rim)
    return [
        Tile(
            Box(x.start, y.start, x.start + width, y.start + height),
            Box(x.first, y.first, x.last, y.last),
        )
        for y in down
        for x in across
    ]


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple
