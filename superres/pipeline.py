"""The straight line from a picture to the bytes of a larger one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from superres.encode import FORMATS, Encoded, Format, check_side, encode
from superres.errors import TooLarge
from superres.geometry import Size
from superres.image import Frame, Image, Pixels, resize, spread
from superres.scale import ScaleExpression
from superres.upscaler import Progress, Upscaled

if TYPE_CHECKING:
    from superres.faces import FaceEnhancer


@dataclass(frozen=True)
class Options:
    """What a request asks of the picture; None leaves the choice to the input or the model."""

    image_format: Format | None = None
    scale: ScaleExpression | None = None
    quality: int = 95
    tile: int = 0
    overlap: int | None = None
    keep_metadata: bool = False


class Scaled(Protocol):
    """What has a scale; a catalogue row, for one."""

    @property
    def scale(self) -> int: ...


class Enlarger(Protocol):
    """What enlarges pictures: an Upscaler, or the diffusion upscaler with its options."""

    @property
    def spec(self) -> Scaled: ...
    @property
    def report(self) -> Mapping[str, Any]: ...

    def upscale(
        self, pixels: Pixels, tile: int, overlap: int | None, progress: Progress
    ) -> Upscaled: ...


class Answer(NamedTuple):
    """The encoded picture and the record of how it was made. `peak_memory` is in bytes."""

    encoded: Encoded
    model_scale: int
    input_size: Size
    output_size: Size
    seconds: float
    peak_memory: int | None
    tiles: int
    redone: int
    report: Mapping[str, Any]  # what else the model tells, such as the seed it used


def upscale(
    image: Image,
    upscaler: Enlarger,
    options: Options,
    max_output_pixels: int = 268_000_000,
    progress: Progress = lambda done, total: None,
    faces: "FaceEnhancer | None" = None,
) -> Answer:
    """`image` enlarged and encoded. Every limit is checked before any work is done."""
    target = target_size(image, upscaler.spec.scale, options.scale, max_output_pixels)
    image_format = options.image_format or FORMATS.get(image.format, FORMATS["png"])
    check_side(image_format, target)
    done: list[Upscaled] = []
    frames = []
    for number, frame in enumerate(image.frames):
        report = shifted(progress, number, len(image.frames))
        made, cost = enlarge(frame, upscaler, target, options, report, faces)
        frames.append(made)
        done.append(cost)
    encoded = encode(
        replace(image, frames=tuple(frames)), image_format, options.quality, options.keep_metadata
    )
    peaks = [cost.peak_memory for cost in done if cost.peak_memory is not None]
    return Answer(
        encoded,
        upscaler.spec.scale,
        image.size,
        target,
        sum(cost.seconds for cost in done),
        max(peaks, default=None),
        sum(cost.tiles for cost in done),
        sum(cost.redone for cost in done),
        upscaler.report,
    )


def with_faces(
    faces: "FaceEnhancer", colour: Pixels, cost: Upscaled, scale: int, progress: Progress
) -> Upscaled:
    """The network's result with its faces restored, and the time that took added."""
    started = time.perf_counter()
    pixels = faces.enhance(colour, cost.pixels, scale, lambda done, total: progress(1, 1))
    return cost._replace(pixels=pixels, seconds=cost.seconds + time.perf_counter() - started)


def target_size(
    image: Image, scale: int, expression: ScaleExpression | None, max_output_pixels: int
) -> Size:
    """The size of the answer. Raises BadOption for a wrong scale, TooLarge beyond the limit."""
    largest = image.size.times(scale)
    target = expression.bounded(image.size, largest) if expression else largest
    # The model's own output is held in memory even where a smaller answer was asked for.
    pixels = largest.pixels * len(image.frames)
    if pixels > max_output_pixels:
        raise TooLarge(
            f"{image.size} pixels and {len(image.frames)} frames become {pixels} pixels with a "
            f"x{scale} model: at most {max_output_pixels} are allowed",
            code="OUTPUT_PIXELS",
            allowed=f"at most {max_output_pixels // scale**2} input pixels",
        )
    return target


def enlarge(
    frame: Frame,
    upscaler: Enlarger,
    target: Size,
    options: Options,
    progress: Progress,
    faces: "FaceEnhancer | None",
) -> tuple[Frame, Upscaled]:
    """One frame at `target` size, and what the network's part cost.

    Alpha is enlarged by Lanczos: it keeps fully opaque and fully transparent areas exactly, which a
    network does not promise, and costs no second pass.
    """
    full = frame.size.times(upscaler.spec.scale)
    colour = spread(frame).colour
    cost = upscaler.upscale(colour, options.tile, options.overlap, progress)
    if faces is not None:
        cost = with_faces(faces, colour, cost, upscaler.spec.scale, progress)
    alpha = None
    if frame.alpha is not None:
        alpha = resize(Frame(frame.alpha[..., None]), full).colour[..., 0]
    made = Frame(cost.pixels, alpha, frame.milliseconds)
    return (made if target == full else resize(made, target)), cost


def shifted(progress: Progress, number: int, frames: int) -> Callable[[int, int], None]:
    """`progress` for frame `number` of `frames`, counting the tiles of all frames."""
    return lambda done, total: progress(number * total + done, frames * total)
