"""How an image is cut for a network: which tiles cost least, and what lies in each."""

from math import lcm

import numpy as np

from superres.geometry import Box, Size, Tile, round_up, split_into_tiles
from superres.image.frame import Pixels
from superres.model_spec import NetworkSpec


def make_tiles(size: Size, spec: NetworkSpec, tile: Size, overlap: int | None = None) -> list[Tile]:
    """Return tiles of at most `tile` input pixels, the border apart, that the network of `spec`
    accepts.
    """
    overlap = spec.overlap if overlap is None else overlap
    align = lcm(spec.input_size.multiple_of, spec.align)
    rim = round_up(spec.overlap, align) if spec.border_mode == "replicate" else 0
    covered = pad_to_minimum(size, spec)
    asked = Size(
        max(tile.width, spec.input_size.minimum) + 2 * rim,
        max(tile.height, spec.input_size.minimum) + 2 * rim,
    )
    made = split_into_tiles(covered, asked, overlap, align, rim)
    # What a network of the whole image would see past the border is not there for the whole.
    outer = covered if spec.global_context else Size(made[-1].outer.right, made[-1].outer.bottom)
    return [Tile(_clip_box(t.outer, outer), _clip_box(t.core, size)) for t in made]


def pad_to_minimum(size: Size, spec: NetworkSpec) -> Size:
    """Return `size` with each side at least what the network accepts; the rest repeats the
    border.
    """
    return Size(max(size.width, spec.input_size.minimum), max(size.height, spec.input_size.minimum))


def _clip_box(box: Box, size: Size) -> Box:
    """Return `box` without what lies right of and below an image of `size`."""
    return Box(box.left, box.top, min(box.right, size.width), min(box.bottom, size.height))


def find_cheapest_tiles(
    size: Size, spec: NetworkSpec, pixels: int, overlap: int | None = None
) -> list[Tile]:
    """Return the tiles of at most about `pixels` each that compute the fewest pixels in all.

    Candidates: the whole image, full-width strips, full-height strips, squares.
    """
    edge = max(1, int(pixels**0.5))
    shapes = [
        Size(size.width, max(1, pixels // size.width)),
        Size(max(1, pixels // size.height), size.height),
        Size(edge, edge),
    ]
    if size.pixels <= pixels:
        shapes = [size]
    candidates = [make_tiles(size, spec, shape, overlap) for shape in shapes]
    # A strip thinner than its overlaps is widened to them, so some candidates break the limit.
    allowed = [c for c in candidates if c[0].outer.size.pixels <= 1.5 * pixels]
    return min(allowed or candidates[-1:], key=count_computed_pixels)


def count_computed_pixels(made: list[Tile]) -> int:
    """Input pixels that pass through the network, overlaps counted each time."""
    return len(made) * made[0].outer.size.pixels


def crop_with_border(pixels: Pixels, box: Box) -> Pixels:
    """Return the (h, w, c) part of `pixels` in `box`; what sticks out repeats the border."""
    height, width = pixels.shape[:2]
    inside = pixels[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right]
    missing = (
        (max(-box.top, 0), max(box.bottom - height, 0)),
        (max(-box.left, 0), max(box.right - width, 0)),
        (0, 0),
    )
    if any(sum(sides) for sides in missing):
        return np.pad(inside, missing, mode="edge")  # type: ignore[return-value] # a union
    return inside
