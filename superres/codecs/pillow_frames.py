"""Frames as images of Pillow, in full colour or in 256 colours as GIF holds them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.image.frame import Frame


def index_colours(frame: Frame) -> Pillow.Image:
    """Return an 8-bit frame in 256 colours, one of them for what is less than half opaque."""
    opaque = to_pillow(replace(frame, alpha=None))
    if frame.alpha is None and opaque.mode == "L":
        return opaque
    index, palette = _quantize_colours(opaque.convert("RGB"), 256 if frame.alpha is None else 255)
    if frame.alpha is not None:
        index[frame.alpha < 128] = 255
    made = Pillow.fromarray(index)
    made.putpalette(palette.ljust(768, b"\0"))
    if frame.alpha is not None:
        made.info["transparency"] = 255
    return made


def _quantize_colours(image: Pillow.Image, colours: int) -> tuple[NDArray[np.uint8], bytes]:
    """Return indices and palette of an RGB image: exact where it has few colours, else
    dithered.
    """
    if image.getcolors(colours) is None:
        palette = image.quantize(colours)
        made = image.quantize(palette=palette, dither=Pillow.Dither.FLOYDSTEINBERG)
        return np.array(made), bytes(made.getpalette() or ())
    # Pillow maps to a given palette by way of rounded colours.
    red, green, blue = np.moveaxis(np.asarray(image).astype(np.uint32), 2, 0)
    few, index = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    table = np.stack([few >> 16, few >> 8 & 255, few & 255], axis=1).astype(np.uint8)
    return index.reshape(image.size[::-1]).astype(np.uint8), table.tobytes()


def to_pillow(frame: Frame) -> Pillow.Image:
    """Return an 8-bit frame as Pillow's image."""
    pixels = frame.rows(0, frame.size.height)
    return Pillow.fromarray(pixels[..., 0] if frame.channels == 1 else np.ascontiguousarray(pixels))
