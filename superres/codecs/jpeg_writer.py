"""JPEG files written strip by strip by all cores: baseline, with the standard Huffman tables.

Each strip is compressed as an image of its own. Restart markers join what was coded, as decoders
forget at each what came before; header and pixels are those of Pillow's file of the whole.
Source: ITU-T T.81, B.1.1.5, B.2.2, B.2.4.4.

Of 3840x2160 RGB at quality 95: 35 ms with one thread and 18 ms with two, Pillow's writer, which
lets no other Python thread run meanwhile, 41 ms.
"""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image as Pillow
from PIL import JpegImagePlugin  # noqa: F401 - registers its writer

from superres.geometry import Size, round_up
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream
from superres.worker_pool import map_ordered

FULL_COLOUR = 90  # the quality from which colour is stored at full resolution
STRIP = 2**20  # bytes of pixels in a strip, where a row of blocks is not more
_LONGEST_INTERVAL = 65_535  # units between restart markers
START_OF_FRAME, START_OF_SCAN = 0xC0, 0xDA
END = b"\xff\xd9"


class Layout(NamedTuple):
    """How an image is coded: units of `unit` × `unit` pixels, strips of `rows` pixel rows."""

    size: Size
    grey: bool
    unit: int
    rows: int

    @property
    def interval(self) -> int:
        """Units between restart markers; 0 where there are none."""
        return 0 if self.rows >= self.size.height else units(self.size.width, self.unit, self.rows)


def units(width: int, unit: int, rows: int) -> int:
    """Return how many units cover some rows."""
    return (round_up(width, unit) // unit) * (round_up(rows, unit) // unit)


def layout(frame: FrameStream, quality: int) -> Layout:
    """Return the layout for a frame: strips as high as `STRIP` and the longest interval allow."""
    grey = frame.channels < 3
    unit = 8 if grey or quality >= FULL_COLOUR else 16
    width = frame.size.width
    fit = min(STRIP // (width * unit * 3), _LONGEST_INTERVAL // units(width, unit, unit))
    return Layout(frame.size, grey, unit, unit * max(1, fit))


def write_jpeg(
    frame: FrameStream, quality: int, extras: dict[str, Any], fitted: Callable[[Frame], Frame]
) -> bytes:
    """Return a JPEG file of `frame` after `fitted` has made each strip 8-bit grey or RGB.

    `extras` are Pillow's options for what is not pixels.
    """
    made = layout(frame, quality)
    subsampling = "420" if made.unit == 16 else "444"

    def coded(strip: Frame) -> memoryview:
        pixels = np.ascontiguousarray(fitted(strip).colour)
        pixels = pixels[..., 0] if made.grey else pixels
        return scan(imagecodecs.jpeg8_encode(pixels, level=quality, subsampling=subsampling))

    out = BytesIO()
    out.write(header(made, quality, extras))
    for number, data in enumerate(map_ordered(coded, frame.bands(made.rows), frame.lock)):
        if number:
            out.write(bytes((0xFF, 0xD0 + (number - 1) % 8)))
        out.write(data)
    out.write(END)
    return out.getvalue()


def scan(data: bytes | bytearray) -> memoryview:
    """Return the coded pixels of a file, without what comes before and after."""
    start = segment(data, START_OF_SCAN)
    (length,) = struct.unpack_from(">H", data, start + 2)
    return memoryview(data)[start + 2 + length : -len(END)]


def header(made: Layout, quality: int, extras: dict[str, Any]) -> bytes:
    """Return all that comes before the coded pixels: what Pillow writes for a pixel, with another
    size.
    """
    out = BytesIO()
    # As ever, grey files state the subsampling that they have no use for.
    subsampling = 0 if quality >= FULL_COLOUR else 2
    pixel = Pillow.new("L" if made.grey else "RGB", (1, 1))
    pixel.save(out, "jpeg", quality=quality, subsampling=subsampling, **extras)
    data = bytearray(out.getvalue())
    start = segment(data, START_OF_SCAN)
    (length,) = struct.unpack_from(">H", data, start + 2)
    # Marker, length, precision, then the height and the width.
    struct.pack_into(">HH", data, segment(data, START_OF_FRAME) + 5, *made.size[::-1])
    restarts = struct.pack(">HHH", 0xFFDD, 4, made.interval) if made.interval else b""
    return bytes(data[:start]) + restarts + bytes(data[start : start + 2 + length])


def segment(data: bytes | bytearray, marker: int) -> int:
    """Return where the segment of `marker` begins in a file that is known to have it."""
    at = 2
    while data[at + 1] != marker:
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return at
