"""Degraded copies of images: a recipe of blur, noise and compression, reproducible by a seed."""

import hashlib
from importlib.util import find_spec
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.option import write_exactly
from contract.options import DEGRADE_OPTIONS
from superres.codecs.encode import FORMATS, Effort, Encoded, Format, encode
from superres.degradation.recipes import RECIPES
from superres.degradation.steps import Record
from superres.errors import BadImage, BadOption
from superres.geometry import Size
from superres.image.frame import Frame, Image
from superres.networks.luma_chroma import BLUE, GREEN, RED
from superres.request_options import read_option

__all__ = [
    "DegradeOptions",
    "DegradedFrame",
    "DegradedImage",
    "crop_frame",
    "degrade_frame",
    "degrade_image",
    "make_seed",
]

_LUMA = np.array([RED, GREEN, BLUE], np.float32)
_MAX_SEED = 2**63 - 1


class DegradedFrame(NamedTuple):
    """A degraded frame and what was done to it, step by step."""

    frame: Frame
    records: list[Record]


class DegradeOptions(NamedTuple):
    """What is done with an image; the same `seed` gives the same result.

    `recipe` is a name in superres.degradation.recipes.RECIPES, `reduction` says how many pixels a
    side become one.
    """

    recipe: str = "realesrgan"
    reduction: int = 4
    seed: int = 0

    def check(self) -> None:
        """Raise BadOption for a value that is not allowed."""
        for name, value in self._asdict().items():
            read_option(name, value, DEGRADE_OPTIONS)
        if self.recipe == "video" and find_spec("av") is None:
            allowed = "another recipe where PyAV is missing (requirements-video.txt)"
            raise BadOption("recipe", self.recipe, allowed)


class DegradedImage(NamedTuple):
    """A degraded image file and what was done."""

    encoded: Encoded
    record: Record


def make_seed(seed: int, name: str) -> int:
    """Make the seed of one image of many, which depends on neither their order nor their number.

    Args:
        seed: Of all images.
        name: Of the image.

    Returns:
        A whole number from 0 to 2**63 - 1.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8]) & _MAX_SEED


def crop_frame(frame: Frame, reduction: int) -> Frame:
    """Crop a frame at its right and lower side to a multiple of `reduction` pixels.

    Args:
        frame: Of any size.
        reduction: How many pixels a side become one.

    Returns:
        The frame, or the larger part of it.

    Raises:
        BadImage: A side is shorter than `reduction`.
    """
    width, height = (side - side % reduction for side in frame.size)
    if not width or not height:
        allowed = f"an image of at least {reduction}x{reduction} pixels"
        raise BadImage(
            f"an image of {frame.size} pixels, reduced {reduction} times: expected {allowed}",
            code="TOO_SMALL",
            allowed=allowed,
        )
    colour = frame.colour[:height, :width].copy()
    alpha = None if frame.alpha is None else frame.alpha[:height, :width].copy()
    return Frame(colour, alpha, frame.milliseconds)


def degrade_frame(frame: Frame, options: DegradeOptions) -> DegradedFrame:
    """Degrade a frame as a recipe says.

    Args:
        frame: Grey or RGB, with alpha or without; its sides are multiples of the reduction.
        options: What is done with it.

    Returns:
        The frame of 8 bits, grey where the input is, its alpha reduced by area averaging; and the
        parameters of every step.

    Raises:
        BadOption: An option has a value that is not allowed.
    """
    options.check()
    recipe, reduction, seed = options
    size = Size(frame.size.width // reduction, frame.size.height // reduction)
    white = np.float32(frame.white)
    grey = frame.colour.shape[2] == 1
    colour = frame.colour.astype(np.float32) / white
    colour = np.repeat(colour, 3, axis=2) if grey else colour
    made = RECIPES[recipe].degrade(colour, (size.height, size.width), np.random.default_rng(seed))
    pixels = _make_levels(made.image)
    if grey:
        pixels = _make_levels(made.image @ _LUMA)[..., None]
    alpha = None
    if frame.alpha is not None:
        veil = frame.alpha.astype(np.float32) / white
        alpha = _make_levels(np.asarray(cv2.resize(veil, size, interpolation=cv2.INTER_AREA)))
    return DegradedFrame(Frame(pixels, alpha, frame.milliseconds), made.records)


def degrade_image(
    image: Image,
    options: DegradeOptions,
    image_format: Format | None = None,
    effort: Effort = Effort(),  # noqa: B008 # frozen
) -> DegradedImage:
    """Degrade an image and encode it.

    Args:
        image: Of whose frames the first counts.
        options: What is done with it.
        image_format: Of the result; None leaves the image's own.
        effort: Of the encoder.

    Returns:
        The file of 8 bits, with the image's colour profile; and what was done, in JSON's types.

    Raises:
        BadOption: An option has a value that is not allowed.
        BadImage: A side is shorter than the reduction.
    """
    frame = crop_frame(image.frames[0], options.reduction)
    degraded, steps = degrade_frame(frame, options)
    dropped = image.frames_dropped + len(image.frames) - 1
    made = Image((degraded,), image.format, image.icc, frames_dropped=dropped)
    chosen = image_format or FORMATS.get(image.format, FORMATS["png"])
    encoded = encode(made, chosen, effort.quality, False, effort.png_compression)
    record = {
        **options._asdict(),
        "seed": write_exactly(options.seed),
        "input_size": list(image.size),
        "cropped": [a - b for a, b in zip(image.size, frame.size, strict=True)],
        "output_size": list(degraded.size),
        "image_format": encoded.format,
        "frames_dropped": encoded.frames_dropped,
        "steps": steps,
    }
    return DegradedImage(encoded, record)


def _make_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values of 0..1 as 8-bit levels."""
    levels: NDArray[np.uint8] = np.rint(values * 255).astype(np.uint8)
    return levels
