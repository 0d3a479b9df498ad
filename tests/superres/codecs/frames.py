import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.codecs.encode import FORMATS
from superres.image.frame import Frame, Image

PNG, JPEG, WEBP, TIFF, BMP, GIF, AVIF = (
    FORMATS[name] for name in ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")
)


def levels(height: int, width: int, channels: int, depth: type = np.uint8, seed: int = 0) -> Any:
    top = int(np.iinfo(depth).max) + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), depth)


def frame(
    width: int = 30,
    height: int = 20,
    channels: int = 3,
    depth: type = np.uint8,
    seed: int = 0,
    milliseconds: int = 0,
) -> Frame:
    """Noise with `channels` 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    made = levels(height, width, channels, depth, seed)
    colours = 1 if channels < 3 else 3
    alpha = np.ascontiguousarray(made[..., -1]) if channels in (2, 4) else None
    return Frame(np.ascontiguousarray(made[..., :colours]), alpha, milliseconds)


def smooth(width: int = 60, height: int = 40) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    made = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    return made.astype(np.uint8)


def still(made: Frame, **options: Any) -> Image:
    return Image((made,), "png", **options)


def opened(data: bytes) -> Pillow.Image:
    picture = Pillow.open(io.BytesIO(data))
    picture.load()
    return picture
