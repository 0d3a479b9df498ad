"""The straight line from an image to the bytes of a larger one."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from superres.codecs.encode import FORMATS, Effort, Encoded, Format, check_side, encode_streams
from superres.codecs.png.writer import DEFAULT_COMPRESSION
from superres.errors import TooLarge
from superres.geometry import Size
from superres.image.frame import Frame, Image, Pixels, bleed_alpha
from superres.image.frame_stream import FrameStream
from superres.image.resample import needs_premultiplication, resize_stream
from superres.image.size_expression import SizeExpression
from superres.inference.planning import Plan
from superres.inference.result import Cost, Progress, RowStream
from superres.inference.upscaler import Upscaler

if TYPE_CHECKING:
    from superres.faces.enhancer import FaceEnhancer

_BAND_PIXELS = 2**18  # pixels of the result that get their alpha at a time


@dataclass(frozen=True)
class OutputOptions:
    """What a request asks of the image; None leaves the choice to the input or the model."""

    image_format: Format | None = None
    scale: SizeExpression | None = None
    quality: int = 95
    png_compression: int = DEFAULT_COMPRESSION
    tile: int = 0
    overlap: int | None = None
    keep_metadata: bool = False
    face_strength: float = 1.0


class Answer(NamedTuple):
    """The encoded image and the record of how it was made."""

    encoded: Encoded
    model_scale: int
    input_size: Size
    output_size: Size
    cost: Cost
    report: Mapping[str, Any]  # what else the model tells, such as the seed it used, and of faces


def upscale(
    image: Image,
    upscaler: Upscaler,
    options: OutputOptions,
    max_output_pixels: int = 268_000_000,
    progress: Progress = lambda done, total: None,
    faces: "FaceEnhancer | None" = None,
    plan: Plan | None = None,
) -> Answer:
    """Return `image` enlarged and encoded. Every limit is checked before any work is done.

    The encoder takes rows as the model makes them, and compresses some while it makes the next;
    frames that the file format cannot hold are not made.
    """
    target = _target_size(image, upscaler.spec.scale, options.scale, max_output_pixels)
    image_format = options.image_format or FORMATS.get(image.format, FORMATS["png"])
    check_side(image_format, target)
    written = image.frames if image_format.animation else image.frames[:1]
    dropped = image.frames_dropped + len(image.frames) - len(written)
    about, size = replace(image.metadata, frames_dropped=dropped), image.size
    works = [
        FrameWork(
            frame, upscaler, options, _shift_progress(progress, number, len(written)), faces, plan
        )
        for number, frame in enumerate(written)
    ]
    del image, written  # each Work lets go of its frame when it is done
    effort = Effort(options.quality, options.png_compression)
    try:
        scrolls = [work.scroll(target) for work in works]
        encoded = encode_streams(scrolls, about, image_format, effort, options.keep_metadata)
    finally:
        for work in works:
            work.close()
    cost = Cost.sum(work.cost for work in works)
    report = {**upscaler.report, **_report_faces(works, faces, options.face_strength)}
    return Answer(encoded, upscaler.spec.scale, size, target, cost, report)


def _report_faces(
    works: "Iterable[FrameWork]", faces: "FaceEnhancer | None", strength: float
) -> dict[str, Any]:
    """Return what an answer says of the faces of all frames; nothing where none were to be
    restored.
    """
    if faces is None:
        return {}
    return {
        "face_model": faces.name,
        "face_strength": strength,
        "faces_found": sum(work.faces_found for work in works),
        "faces_restored": sum(work.faces_restored for work in works),
    }


def _target_size(
    image: Image, scale: int, expression: SizeExpression | None, max_output_pixels: int
) -> Size:
    """Return the size of the answer. Raises BadOption for a wrong scale, TooLarge beyond
    the limit.
    """
    largest = image.size.times(scale)
    target = expression.bounded(image.size, largest) if expression else largest
    # The work is the model's own output even where a smaller answer was asked for.
    pixels = largest.pixels * len(image.frames)
    if pixels > max_output_pixels:
        raise TooLarge(
            f"{image.size} pixels and {len(image.frames)} frames become {pixels} pixels with a "
            f"x{scale} model: at most {max_output_pixels} are allowed",
            code="OUTPUT_PIXELS",
            allowed=f"at most {max_output_pixels // scale**2} input pixels",
        )
    return target


def upscale_frame(
    frame: Frame,
    upscaler: Upscaler,
    options: OutputOptions,
    progress: Progress = lambda done, total: None,
) -> Frame:
    """Upscale one frame, without encoding it.

    Args:
        frame: Grey or RGB, with alpha or without.
        upscaler: The model.
        options: `scale`, `tile` and `overlap` count.
        progress: Called after every part with parts done and in all.

    Returns:
        The frame at the size that `options.scale` says, of the same depth.

    Raises:
        BadOption: The scale is wrong, or larger than the model's.
    """
    largest = frame.size.times(upscaler.spec.scale)
    target = options.scale.bounded(frame.size, largest) if options.scale else largest
    work = FrameWork(frame, upscaler, options, progress, None, None)
    try:
        return work.scroll(target).whole()
    finally:
        work.close()


class FrameWork:
    """One frame on its way through a model, which begins when its first rows are taken."""

    def __init__(
        self,
        frame: Frame,
        upscaler: Upscaler,
        options: OutputOptions,
        progress: Progress,
        faces: "FaceEnhancer | None",
        plan: Plan | None,
    ) -> None:
        self.frame: Frame | None = frame
        self.upscaler = upscaler
        self.options = options
        self.progress = progress
        self.faces = faces
        self.plan = plan
        self.strips: RowStream | None = None
        self.faces_found = self.faces_restored = 0

    @property
    def cost(self) -> Cost:
        """What the model's part took."""
        return self.strips.cost if self.strips else Cost()

    def close(self) -> None:
        """End the model's work where it is not done."""
        self.frame = None
        if self.strips:
            self.strips.close()

    def scroll(self, target: Size) -> FrameStream:
        """Return the enlarged frame at `target` size."""
        frame = self.frame
        assert frame is not None
        full = frame.size.times(self.upscaler.spec.scale)
        depth, milliseconds = frame.bit_depth, frame.milliseconds
        made = FrameStream(
            full, frame.channels, depth, self.rows(full), milliseconds, self.upscaler.cpu_lock
        )
        return resize_stream(made, target, needs_premultiplication(frame))

    def rows(self, full: Size) -> Iterator[Frame]:
        """Yield strips of the frame at `full` size.

        Alpha is enlarged by Lanczos: it keeps fully opaque and fully transparent areas exactly,
        which a network does not promise, and costs no second pass.
        """
        frame, self.frame = self.frame, None
        assert frame is not None
        colours = (Frame(rows) for rows in self.colours(frame))
        if frame.alpha is None:
            yield from colours
            return
        channels = frame.colour.shape[2]
        colour = FrameStream(full, channels, frame.bit_depth, colours)
        alpha = resize_stream(FrameStream.of(Frame(frame.alpha[..., None])), full, weighted=False)
        rows = max(1, _BAND_PIXELS // full.width)
        for strip, veil in zip(colour.bands(rows), alpha.bands(rows), strict=True):
            yield replace(strip, alpha=veil.colour[..., 0])

    def colours(self, frame: Frame) -> Iterator[Pixels]:
        """Yield the model's rows, its faces restored where that is asked for."""
        colour = bleed_alpha(frame).colour
        options = self.options
        made = self.upscaler.stream(colour, options.tile, options.overlap, self.progress, self.plan)
        self.strips = made
        if self.faces is None:
            yield from made
            return
        whole = made.read_all().pixels
        started = time.perf_counter()
        scale = self.upscaler.spec.scale
        pixels, self.faces_found, self.faces_restored = self.faces.enhance(
            colour, whole, scale, lambda *_: self.progress(1, 1), options.face_strength
        )
        made.cost.seconds += time.perf_counter() - started
        yield pixels


def _shift_progress(progress: Progress, number: int, frames: int) -> Callable[[int, int], None]:
    """Return `progress` for frame `number` of `frames`, counting the tiles of all frames."""
    return lambda done, total: progress(number * total + done, frames * total)
