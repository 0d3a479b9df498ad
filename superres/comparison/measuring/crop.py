"""An image upscaled, and the part of the result that people look at."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from evaluation.protocol import Pixels
from superres.comparison.cells import Values
from superres.comparison.images import ImageSource
from superres.comparison.measuring.quality import reduce_image
from superres.comparison.measuring.subject import Subject

__all__ = ["CropRequest", "write_crop"]


class CropRequest(NamedTuple):
    """What is upscaled of an image, and what is shown of that.

    `is_original` says that the image is reduced first. `area` and `shown` are left, top, width and
    height in pixels of what is upscaled; `area` None is all of it.
    """

    source: ImageSource
    is_original: bool
    damage: str
    shown: tuple[int, int, int, int]
    area: tuple[int, int, int, int] | None
    target: Path

    def read_input(self, scale: int) -> Pixels:
        """Return what is upscaled, whole."""
        pixels = self.source.read()
        return reduce_image(pixels, scale, self.damage, 0)[1] if self.is_original else pixels


def write_crop(subject: Subject, request: CropRequest) -> Values:
    """Upscale an image and write the crop that is shown as PNG.

    Args:
        subject: The contender.
        request: What is upscaled, and what is shown.

    Returns:
        `file`, the crop's name; `seconds`, `peak_mb` and `pixels` of what was upscaled; `whole`,
        whether that was the whole image.
    """
    pixels = request.read_input(subject.scale)
    left, top, width, height = request.area or (0, 0, *pixels.shape[1::-1])
    pixels = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    subject.reset_peak()
    result = subject.upscale(pixels)
    memory = subject.measure_peak(result.cost)
    x, y, columns, rows = (subject.scale * edge for edge in request.shown)
    x, y = x - subject.scale * left, y - subject.scale * top
    request.target.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(result.pixels[y : y + rows, x : x + columns]).save(request.target)
    return {
        "file": request.target.name,
        "seconds": round(result.cost.seconds, 4),
        "pixels": width * height,
        "whole": request.area is None,
        **memory,
    }
