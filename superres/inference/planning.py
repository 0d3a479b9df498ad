"""How a picture is gone through, whole, in tiles, or row by row, and which way is the cheapest."""

from typing import NamedTuple

from superres.geometry import Box, Size, Tile, spans, up
from superres.inference.tiling import accepted, cheapest, computed_pixels, covering
from superres.model_spec import ModelSpec

LARGE_STEP_PIXELS = 2**18  # of row streaming elsewhere than on a CPU: enough to fill a GPU
FEWEST_ROWS = 4  # of a step: with fewer, the rows remembered from the last outweigh the new ones
# Elsewhere than on a CPU, streaming's many small steps cost about this much more than tiles do.
STREAMING_COST = 1.3
SMALLEST_TILE = 32  # input pixels a side below which halving a tile is given up


class Plan(NamedTuple):
    """The parts of a picture in the order they are computed.

    With `rows` above 0 each part is a panel of the full height, streamed that many input rows at a
    time; with 0 it is a tile. `computed` counts the input pixels that pass through the network.
    """

    tiles: list[Tile]
    rows: int
    computed: int


def asked(size: Size, spec: ModelSpec, tile: int, overlap: int | None) -> Plan:
    """The plan of a request that chooses its tiles."""
    return of_tiles(covering(size, spec, Size(tile, tile), overlap))


def chosen(size: Size, spec: ModelSpec, memory: int, per_pixel: float, on_cpu: bool) -> Plan:
    """The cheapest plan whose activations take about `memory` bytes.

    `per_pixel` is what activations of the whole take per byte of the model's fp32 figures: 1, or
    0.5 in half precision. On a CPU row streaming is also the faster way for all but small pictures,
    because its layers stay in the caches.
    """
    pixels = max(int(memory / max(spec.bytes_per_pixel * per_pixel, 1)), SMALLEST_TILE**2)
    tiles = of_tiles(cheapest(size, spec, pixels))
    if spec.stream is None:
        return tiles
    if on_cpu and len(tiles.tiles) == 1 and size.pixels < spec.stream.pays_from:
        return tiles
    left = memory / per_pixel - spec.stream.held_bytes * size.pixels
    # A quarter for the steps leaves enough for what is remembered between them.
    fitting = max(int(left / 4 / spec.stream.step_bytes), 1)
    step_pixels = min(spec.stream.step_pixels if on_cpu else LARGE_STEP_PIXELS, fitting)
    if spec.whole and widest(left, spec, step_pixels) < size.width:
        return tiles
    streamed = by_rows(size, spec, left, step_pixels)
    handicap = 1.0 if on_cpu else STREAMING_COST
    return streamed if streamed.computed * handicap <= tiles.computed else tiles


def of_tiles(tiles: list[Tile]) -> Plan:
    """The plan that computes `tiles`."""
    return Plan(tiles, 0, computed_pixels(tiles))


def by_rows(size: Size, spec: ModelSpec, memory: float, step_pixels: int) -> Plan:
    """The plan that streams panels as wide as `memory` bytes of fp32 allow."""
    assert spec.stream is not None
    covered = accepted(size, spec)
    height = up(covered.height, spec.multiple_of)
    width = widest(memory, spec, step_pixels)
    length, across = spans(covered.width, width, spec.overlap, spec.multiple_of, 0)
    panels = [
        Tile(
            Box(span.start, 0, span.start + length, height),
            Box(span.first, 0, min(span.last, size.width), size.height),
        )
        for span in across
    ]
    rows = up(max(step_pixels // length, FEWEST_ROWS), spec.multiple_of)
    return Plan(panels, rows, length * height * len(panels))


def widest(memory: float, spec: ModelSpec, step_pixels: int) -> int:
    """The width in input pixels of a panel whose streaming takes `memory` bytes of fp32."""
    assert spec.stream is not None
    left = memory - step_pixels * spec.stream.step_bytes
    least = 0 if spec.whole else 2 * spec.overlap + SMALLEST_TILE
    return max(int(left / spec.stream.state_bytes), least)
