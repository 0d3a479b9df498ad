"""What a request will take before any of it is done: bytes of memory and seconds.

    estimate    the whole of it, from a picture's dimensions, the model and the answer's format
    network     the model's part

The host holds the file that came, the decoded picture, for a while what its decoder needs beside
it, the part of the result that is not in the file yet, the growing file, and copies of the finished
one on their way out. PNG and JPEG take the result strip by strip; the other formats take the whole.
Activations belong to one tile, or one step of row streaming, of one picture at a time, so that
pictures that are worked on side by side need them only once.

The coefficients are data: bytes per pixel or sample here, seconds per megapixel of the models in
calibration.py. `python -m benchmarks.cost` measures them again and says how far they are off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from superres.codecs.encode import FORMATS
from superres.codecs.probe import Dimensions
from superres.estimation.calibration import seconds_per_megapixel
from superres.geometry import Size
from superres.inference.planning import Plan, plan_cheapest
from superres.inference.tiling import make_tiles
from superres.model_spec import NetworkSpec

MEGA = 1_000_000
SLACK = 16 * 2**20  # of a request: strips on their way through the encoder's threads, heap
STREAM_HEAP = 96 * 2**20  # what the C library keeps of the memory of many small steps on a CPU
STREAMED = frozenset({"png", "jpeg"})  # formats whose writers take strips
GPU_SPEED = 100.0  # times a CPU core; learned better from the first requests


class Decoding(NamedTuple):
    """What reading a format takes: `bytes` per pixel beside the decoded picture, seconds per MP."""

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

    def at(self, pace: float) -> float:
        """The seconds where the model is `pace` times as slow."""
        return self.seconds + self.model_seconds * (pace - 1)


class Described(Protocol):
    """A model that this module may know no figures of."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> int: ...


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


@dataclass(frozen=True)
class Workload:
    """A picture to be enlarged: its `encoded` bytes and dimensions, and the answer wanted.

    `target` is the answer's size where it is not the model's own; `tile` and `overlap` are what was
    asked for; `whole` says that something needs the whole result at once, such as faces; `copies`
    counts how often a finished file is in memory on its way out.
    """

    encoded: int
    picture: Dimensions
    format: str
    target: Size | None = None
    tile: int = 0
    overlap: int | None = None
    needs_whole_result: bool = False
    copies: int = 1

    @property
    def frames(self) -> int:
        """How many frames are enlarged: those that the answer's format can hold."""
        return self.picture.frames if FORMATS[self.format].animation else 1

    def answer_size(self, scale: int) -> Size:
        """The size of the answer."""
        return self.target or self.picture.size.times(scale)


def estimate_request(order: Workload, model: Described, place: ExecutionTarget) -> Estimate:
    """What `order` takes with `model`."""
    picture, answered = order.picture, order.answer_size(model.scale).pixels * order.frames
    work = estimate_network(picture.size, model, place, order.tile, order.overlap)
    decoding, encoding = DECODING[picture.format], ENCODING[order.format]
    peak = max(decoding.bytes * picture.size.pixels, working_bytes(order, model.scale, work.rows))
    host = order.encoded + picture.bytes + int(peak) + work.host_bytes + SLACK
    model_seconds = work.seconds * order.frames
    seconds = decoding.seconds * picture.size.pixels * picture.frames / MEGA
    seconds += encoding.seconds * answered / MEGA + model_seconds
    return Estimate(host, work.device_bytes, seconds, model_seconds)


def working_bytes(order: Workload, scale: int, rows: int) -> float:
    """What is held beside the decoded picture while the model works and its rows are encoded.

    `rows` is how many rows of input become rows of the result at once.
    """
    picture, encoding = order.picture, ENCODING[order.format]
    pixels = order.answer_size(scale).pixels * order.frames
    raw = pixels * picture.sample_bytes
    full = picture.size.times(scale)
    strip = min(2 * rows * scale, full.height) * full.width * picture.sample_bytes
    held = full.pixels * picture.sample_bytes if order.needs_whole_result else strip
    if picture.channels in (2, 4):
        held += picture.size.pixels * picture.sample_bytes  # colours under transparent pixels
    file = raw * encoding.file
    if order.format in STREAMED:
        return held + file * order.copies
    return max(held + raw, raw + encoding.bytes * pixels + file, file * order.copies)


class NetworkCost(NamedTuple):
    """A model's part: `rows` of input whose result comes at once, bytes and seconds of a frame."""

    host_bytes: int
    device_bytes: int
    seconds: float
    rows: int


def estimate_network(
    size: Size, model: Described, place: ExecutionTarget, tile: int = 0, overlap: int | None = None
) -> NetworkCost:
    """What a model's part of a frame of `size` takes."""
    if not isinstance(model, NetworkSpec):
        return estimate_diffusion(size, place)
    if tile:
        return estimate_tiles(measure_tile_grid(size, model, tile, overlap), model, place)
    plan = plan_cheapest(size, model, place.memory, place.bytes_per_value, place.on_cpu)
    if plan.rows and model.stream:
        return estimate_stream(size, plan, model, place)
    outer, core = plan.tiles[0]
    return estimate_tiles(TileGrid(outer.size, core.size.height, plan.computed), model, place)


class TileGrid(NamedTuple):
    """The tiles of a picture: their size, the rows that one adds, pixels computed in all."""

    outer: Size
    rows: int
    computed: int


def measure_tile_grid(size: Size, model: NetworkSpec, tile: int, overlap: int | None) -> TileGrid:
    """The tiles of a request that chooses their edge. There may be a million, so none is made:
    those of one row and those of one column tell all.
    """
    edge = Size(tile, tile)
    across = make_tiles(Size(size.width, 1), model, edge, overlap)
    down = make_tiles(Size(1, size.height), model, edge, overlap)
    outer = Size(across[0].outer.size.width, down[0].outer.size.height)
    return TileGrid(outer, down[0].core.size.height, len(across) * len(down) * outer.pixels)


def estimate_tiles(tiling: TileGrid, model: NetworkSpec, place: ExecutionTarget) -> NetworkCost:
    """What tiles take, one at a time."""
    used = tiling.outer.pixels * model.bytes_per_pixel * place.bytes_per_value
    return NetworkCost(0, int(used), estimate_seconds(tiling.computed, model, place), tiling.rows)


def estimate_seconds(computed: int, model: NetworkSpec, place: ExecutionTarget) -> float:
    """What it takes that as many pixels pass through the network."""
    seconds = seconds_per_megapixel(model) * computed / MEGA
    return seconds if place.on_cpu else seconds / GPU_SPEED


def estimate_stream(
    size: Size, plan: Plan, model: NetworkSpec, place: ExecutionTarget
) -> NetworkCost:
    """What row streaming takes: what it remembers between steps, and one step's activations."""
    assert model.stream is not None
    width = plan.tiles[0].outer.size.width
    remembered = (
        model.stream.bytes_per_column * width + model.stream.bytes_per_image_pixel * size.pixels
    )
    state = int(remembered * place.bytes_per_value)
    step = int(model.stream.step_bytes * width * plan.rows * place.bytes_per_value)
    # Panels side by side are streamed one after the other, so their rows wait for the last.
    rows = plan.rows if len(plan.tiles) == 1 else size.height
    seconds = estimate_seconds(plan.computed, model, place)
    if place.on_cpu:
        return NetworkCost(state, 2 * step + STREAM_HEAP, seconds, rows)
    return NetworkCost(0, state + step, seconds, rows)


# The diffusion upscaler: latents, scheduler, decoded picture, colours (diffusion/upscaler.py), and
# what 75 steps take.
PICTURE_BYTES = 540
PICTURE_SECONDS = 40_000.0


def estimate_diffusion(size: Size, place: ExecutionTarget) -> NetworkCost:
    """What a model without a row in the catalogue takes; only the diffusion upscaler is one."""
    seconds = PICTURE_SECONDS * size.pixels / MEGA
    state = PICTURE_BYTES * size.pixels
    if place.on_cpu:
        return NetworkCost(state, place.memory, seconds, size.height)
    return NetworkCost(0, state + place.memory, seconds / GPU_SPEED, size.height)


def sum_host_bytes(needed: Estimate, place: ExecutionTarget) -> int:
    """What a request that runs alone takes of the host's memory."""
    return needed.host_bytes + (needed.device_bytes if place.on_cpu else 0)


def find_fitting_size(
    order: Workload, model: Described, place: ExecutionTarget, most: int
) -> Size | None:
    """The largest picture of the same kind that takes at most `most` bytes of the host, or None.

    Sides are tried in steps of a sixteenth.
    """
    for part in range(15, 0, -1):
        smaller = shrink_workload(order, part)
        if sum_host_bytes(estimate_request(smaller, model, place), place) <= most:
            return smaller.picture.size
    return None


def shrink_workload(order: Workload, part: int) -> Workload:
    """The order of a picture, and an answer, with sides of `part` sixteenths."""

    def reduced(size: Size) -> Size:
        return Size(max(size.width * part // 16, 1), max(size.height * part // 16, 1))

    return replace(
        order,
        encoded=order.encoded * part * part // 256,
        picture=order.picture._replace(size=reduced(order.picture.size)),
        target=reduced(order.target) if order.target else None,
    )
