"""What a request will take before any of it is done: bytes of memory and seconds.

    estimate    the whole of it, from an image's dimensions, the model and the answer's format
    network     the model's part

The host holds the file that came, the decoded image, for a while what its decoder needs beside
it, the part of the result that is not in the file yet, the growing file, and copies of the finished
one on their way out. PNG and JPEG take the result strip by strip; the other formats take the whole.
Activations belong to one tile, or one step of row streaming, of one image at a time, so that
images that are worked on side by side need them only once.

The coefficients are data: bytes per pixel or sample here, seconds per megapixel of the models in
calibration.py. `python -m benchmarks.cost` measures them again and says how far they are off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from superres.codecs.encode import FORMATS
from superres.codecs.probe import Dimensions
from superres.geometry import Size
from superres.inference.planning import Plan, plan_cheapest
from superres.inference.tiling import make_tiles
from superres.model_spec import NetworkSpec

MEGAPIXEL = 1_000_000
_SLACK_BYTES = 16 * 2**20  # of a request: strips on their way through the encoder's threads, heap
_STREAM_HEAP_BYTES = (
    96 * 2**20
)  # what the C library keeps of the memory of many small steps on a CPU
_STREAMED_FORMATS = frozenset({"png", "jpeg"})  # formats whose writers take strips
GPU_SPEED = 100.0  # times a CPU core; learned better from the first requests


class Decoding(NamedTuple):
    """What reading a format takes: `bytes` per pixel beside the decoded image, seconds per MP."""

    bytes: float
    seconds: float


# Pillow keeps 4 bytes for each pixel of RGB and copies them when it converts; libwebp keeps two
# canvases of its own, libavif the planes of a frame.
DECODING: Mapping[str, Decoding] = {
    "PNG": Decoding(8, 0.030),
    "JPEG": Decoding(8, 0.014),
    "WebP": Decoding(16, 0.030),
    "TIFF": Decoding(8, 0.020),
    "GIF": Decoding(12, 0.020),
    "AVIF": Decoding(16, 0.050),
    "BMP": Decoding(8, 0.006),
    "ICO": Decoding(8, 0.030),
    "PPM": Decoding(8, 0.006),
    "tensor": Decoding(0, 0.001),
}


class Encoding(NamedTuple):
    """What writing a format takes.

    `file` is the file's size per byte of raw samples, of photos and a little more; `bytes` what the
    writer holds per pixel beside the result, of one frame; `seconds` are per megapixel.
    """

    file: float
    bytes: float
    seconds: float


ENCODING: Mapping[str, Encoding] = {
    "png": Encoding(0.6, 0, 0.010),
    "jpeg": Encoding(0.3, 0, 0.006),
    "webp": Encoding(0.3, 6, 0.080),
    "tiff": Encoding(0.9, 0, 0.020),
    "bmp": Encoding(1.0, 2, 0.006),
    "gif": Encoding(0.4, 15, 0.150),
    "avif": Encoding(0.2, 38, 0.120),
}


class Estimate(NamedTuple):
    """What a request takes.

    `host_bytes` are held as long as it runs; `device_bytes` are activations where the model runs,
    in use by one tile at a time; `seconds` are those on an idle machine like that of the figures,
    `model_seconds` the model's part of them.
    """

    host_bytes: int
    device_bytes: int
    seconds: float
    model_seconds: float
    plan: Plan | None = None  # of a frame, where it was worth making

    def scale_seconds(self, pace: float) -> float:
        """Return the seconds where the model is `pace` times as slow."""
        return self.seconds + self.model_seconds * (pace - 1)


@dataclass(frozen=True)
class ExecutionTarget:
    """Where a model runs: `memory` bytes for activations, of half size each in `half` precision."""

    memory: int
    on_cpu: bool = True
    half: bool = False

    @property
    def bytes_per_value(self) -> float:
        """The size of an activation relative to fp32."""
        return 0.5 if self.half else 1.0


class NetworkCost(NamedTuple):
    """A model's part: `rows` of input whose result comes at once, bytes and seconds of a frame."""

    host_bytes: int
    device_bytes: int
    seconds: float
    rows: int
    plan: Plan | None = None  # where it was worth making


@dataclass(frozen=True)
class Workload:
    """An image to be upscaled by a model, and the answer wanted.

    `network` estimates the model's part of a frame of some size; `target` is the answer's size
    where it is not the model's own; `needs_whole_result` says that something needs all of it at
    once, such as faces; `copies` counts how often a finished file is in memory on its way out.
    """

    encoded: int  # bytes of the file that came
    image: Dimensions
    format: str
    scale: int
    network: Callable[[Size], NetworkCost]
    target: Size | None = None
    needs_whole_result: bool = False
    copies: int = 1

    @property
    def frames(self) -> int:
        """How many frames are upscaled: those that the answer's format can hold."""
        return self.image.frames if FORMATS[self.format].animation else 1

    @property
    def answer_size(self) -> Size:
        """The size of the answer."""
        return self.target or self.image.size.times(self.scale)


def estimate_request(workload: Workload) -> Estimate:
    """Estimate what a request takes, all of it."""
    image, answered = workload.image, workload.answer_size.pixels * workload.frames
    cost = workload.network(image.size)
    decoding, encoding = DECODING[image.format], ENCODING[workload.format]
    peak = max(decoding.bytes * image.size.pixels, _count_working_bytes(workload, cost.rows))
    host = workload.encoded + image.bytes + int(peak) + cost.host_bytes + _SLACK_BYTES
    model_seconds = cost.seconds * workload.frames
    seconds = decoding.seconds * image.size.pixels * image.frames / MEGAPIXEL
    seconds += encoding.seconds * answered / MEGAPIXEL + model_seconds
    return Estimate(host, cost.device_bytes, seconds, model_seconds, cost.plan)


def _count_working_bytes(workload: Workload, rows: int) -> float:
    """Return what is held beside the decoded image while the model works and rows are encoded.

    `rows` is how many rows of input become rows of the result at once.
    """
    image, encoding = workload.image, ENCODING[workload.format]
    pixels = workload.answer_size.pixels * workload.frames
    raw = pixels * image.sample_bytes
    full = image.size.times(workload.scale)
    strip = min(2 * rows * workload.scale, full.height) * full.width * image.sample_bytes
    held = full.pixels * image.sample_bytes if workload.needs_whole_result else strip
    if image.channels in (2, 4):
        held += image.size.pixels * image.sample_bytes  # colours under transparent pixels
    file = raw * encoding.file
    if workload.format in _STREAMED_FORMATS:
        return held + file * workload.copies
    return max(held + raw, raw + encoding.bytes * pixels + file, file * workload.copies)


def estimate_network(
    size: Size,
    spec: NetworkSpec,
    target: ExecutionTarget,
    tile: int = 0,
    overlap: int | None = None,
) -> NetworkCost:
    """Estimate what a network's part of a frame of `size` takes."""
    if tile:
        return _estimate_tiles(measure_tile_grid(size, spec, tile, overlap), spec, target)
    plan = plan_cheapest(size, spec, target.memory, target.bytes_per_value, target.on_cpu, overlap)
    if plan.rows and spec.stream:
        cost = _estimate_stream(size, plan, spec, target)
    else:
        outer, core = plan.tiles[0]
        grid = TileGrid(outer.size, core.size.height, plan.computed)
        cost = _estimate_tiles(grid, spec, target)
    return cost._replace(plan=plan)


class TileGrid(NamedTuple):
    """The tiles of an image: their size, the rows that one adds, pixels computed in all."""

    outer: Size
    rows: int
    computed: int


def measure_tile_grid(size: Size, model: NetworkSpec, tile: int, overlap: int | None) -> TileGrid:
    """Return the tiles of a request that chooses their edge. There may be a million, so none is
    made: those of one row and those of one column tell all.
    """
    edge = Size(tile, tile)
    across = make_tiles(Size(size.width, 1), model, edge, overlap)
    down = make_tiles(Size(1, size.height), model, edge, overlap)
    outer = Size(across[0].outer.size.width, down[0].outer.size.height)
    return TileGrid(outer, down[0].core.size.height, len(across) * len(down) * outer.pixels)


def _estimate_tiles(tiling: TileGrid, model: NetworkSpec, target: ExecutionTarget) -> NetworkCost:
    """Return what tiles take, one at a time."""
    used = tiling.outer.pixels * model.bytes_per_pixel * target.bytes_per_value
    return NetworkCost(0, int(used), estimate_seconds(tiling.computed, model, target), tiling.rows)


def estimate_seconds(computed: int, model: NetworkSpec, target: ExecutionTarget) -> float:
    """Return what it takes that as many pixels pass through the network."""
    seconds = model.seconds_per_megapixel * computed / MEGAPIXEL
    return seconds if target.on_cpu else seconds / GPU_SPEED


def _estimate_stream(
    size: Size, plan: Plan, model: NetworkSpec, target: ExecutionTarget
) -> NetworkCost:
    """Return what row streaming takes: what it remembers between steps, and one step's
    activations.
    """
    assert model.stream is not None
    width = plan.tiles[0].outer.size.width
    remembered = (
        model.stream.bytes_per_column * width + model.stream.bytes_per_image_pixel * size.pixels
    )
    state = int(remembered * target.bytes_per_value)
    step = int(model.stream.step_bytes * width * plan.rows * target.bytes_per_value)
    # Panels side by side are streamed one after the other, so their rows wait for the last.
    rows = plan.rows if len(plan.tiles) == 1 else size.height
    seconds = estimate_seconds(plan.computed, model, target)
    if target.on_cpu:
        return NetworkCost(state, 2 * step + _STREAM_HEAP_BYTES, seconds, rows)
    return NetworkCost(0, state + step, seconds, rows)


def sum_host_bytes(needed: Estimate, target: ExecutionTarget) -> int:
    """Return what a request that runs alone takes of the host's memory."""
    return needed.host_bytes + (needed.device_bytes if target.on_cpu else 0)


def find_fitting_size(workload: Workload, target: ExecutionTarget, max_bytes: int) -> Size | None:
    """Find the largest image of the same kind that takes at most `max_bytes` of the host.

    Sides are tried in steps of a sixteenth; None where not even the smallest fits.
    """
    for part in range(15, 0, -1):
        smaller = _shrink_workload(workload, part)
        if sum_host_bytes(estimate_request(smaller), target) <= max_bytes:
            return smaller.image.size
    return None


def _shrink_workload(workload: Workload, part: int) -> Workload:
    """Return the workload of an image, and an answer, with sides of `part` sixteenths."""

    def shrink(size: Size) -> Size:
        return Size(max(size.width * part // 16, 1), max(size.height * part // 16, 1))

    return replace(
        workload,
        encoded=workload.encoded * part * part // 256,
        image=workload.image._replace(size=shrink(workload.image.size)),
        target=shrink(workload.target) if workload.target else None,
    )
