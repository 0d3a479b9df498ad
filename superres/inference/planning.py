"""How an image is gone through, whole, in tiles, or row by row, and which way is the cheapest."""

from typing import NamedTuple

from superres.errors import BadOption
from superres.geometry import Box, Size, Tile, round_up, split_axis
from superres.inference.tiling import (
    count_computed_pixels,
    find_cheapest_tiles,
    make_tiles,
    pad_to_minimum,
)
from superres.model_spec import NetworkSpec

_LARGE_STEP_PIXELS = 2**18  # of row streaming elsewhere than on a CPU: enough to fill a GPU
_MIN_STEP_ROWS = 4  # of a step: with fewer, the rows remembered from the last outweigh the new ones
# Elsewhere than on a CPU, streaming's many small steps cost about this much more than tiles do.
_STREAMING_COST = 1.3
MIN_TILE = 32  # input pixels a side below which halving a tile is given up


class Plan(NamedTuple):
    """The parts of an image of `size` in the order they are computed.

    With `rows` above 0 each part is a panel of the full height, streamed that many input rows at a
    time; with 0 it is a tile. Parts see `overlap` input pixels beyond what is kept of them, on each
    side. `computed` counts the input pixels that pass through the network.
    """

    size: Size
    tiles: list[Tile]
    rows: int
    overlap: int
    computed: int


def plan_for_tile_size(size: Size, spec: NetworkSpec, tile: int, overlap: int | None) -> Plan:
    """Return the plan of a request that chooses the edge of its tiles.

    Raises BadOption where the network cannot be cut.
    """
    if spec.whole_only and (tile < max(size)):
        raise BadOption("tile", tile, f"nothing: {spec.name} sees the whole image and is not cut")
    return _plan_tiles(size, make_tiles(size, spec, Size(tile, tile), overlap), spec, overlap)


def plan_cheapest(
    size: Size,
    spec: NetworkSpec,
    memory: int,
    per_pixel: float,
    on_cpu: bool,
    overlap: int | None = None,
) -> Plan:
    """Return the cheapest plan whose activations take about `memory` bytes.

    On a CPU row streaming is also the faster way for all but small images, because its layers stay
    in the caches.

    Args:
        size: Of the input.
        spec: The network.
        memory: Bytes for activations.
        per_pixel: What activations take per byte of the row's fp32 figures: 1, or 0.5 in half
            precision.
        on_cpu: Whether the network runs on a CPU.
        overlap: What a request asks for; by default the row's own, which is exact.

    Returns:
        Tiles, or panels that are streamed row by row.
    """
    if spec.whole_only:
        return _plan_tiles(size, make_tiles(size, spec, size, 0), spec, 0)
    pixels = max(int(memory / max(spec.bytes_per_pixel * per_pixel, 1)), MIN_TILE**2)
    tiles = _plan_tiles(size, find_cheapest_tiles(size, spec, pixels, overlap), spec, overlap)
    if spec.stream is None:
        return tiles
    if on_cpu and len(tiles.tiles) == 1 and size.pixels < spec.stream.min_pixels:
        return tiles
    left = memory / per_pixel - spec.stream.bytes_per_image_pixel * size.pixels
    # A quarter for the steps leaves enough for what is remembered between them.
    fitting = max(int(left / 4 / spec.stream.step_bytes), 1)
    step_pixels = min(spec.stream.step_pixels if on_cpu else _LARGE_STEP_PIXELS, fitting)
    if spec.global_context and _find_max_width(left, spec, step_pixels, 0) < size.width:
        return tiles
    streamed = plan_rows(size, spec, left, step_pixels, overlap)
    handicap = 1.0 if on_cpu else _STREAMING_COST
    return streamed if streamed.computed * handicap <= tiles.computed else tiles


def _plan_tiles(size: Size, tiles: list[Tile], spec: NetworkSpec, overlap: int | None) -> Plan:
    """Return the plan that computes `tiles`."""
    overlap = spec.overlap if overlap is None else overlap
    return Plan(size, tiles, 0, overlap, count_computed_pixels(tiles))


def plan_rows(
    size: Size, spec: NetworkSpec, memory: float, step_pixels: int, overlap: int | None = None
) -> Plan:
    """Return the plan that streams panels as wide as `memory` bytes of fp32 allow."""
    multiple = spec.input_size.multiple_of
    overlap = spec.overlap if overlap is None else overlap
    width = _find_max_width(memory, spec, step_pixels, overlap)
    covered = pad_to_minimum(size, spec)
    height = round_up(covered.height, multiple)
    length, across = split_axis(covered.width, width, overlap, multiple, 0)
    panels = [
        Tile(
            Box(span.start, 0, span.start + length, height),
            Box(span.first, 0, min(span.last, size.width), size.height),
        )
        for span in across
    ]
    rows = round_up(max(step_pixels // length, _MIN_STEP_ROWS), multiple)
    return Plan(size, panels, rows, overlap, length * height * len(panels))


def _find_max_width(memory: float, spec: NetworkSpec, step_pixels: int, overlap: int) -> int:
    """Return the width in input pixels of a panel whose streaming takes `memory` bytes of fp32."""
    assert spec.stream is not None
    left = memory - step_pixels * spec.stream.step_bytes
    minimum = 0 if spec.global_context else 2 * overlap + MIN_TILE
    return max(int(left / spec.stream.bytes_per_column), minimum)
