import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.codecs.decode import Limits, decode
from superres.errors import Refused


def saved(picture: Pillow.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def photo(width: int = 60, height: int = 40, mode: str = "RGB") -> Pillow.Image:
    """Smooth, with every hue, and no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([x * 255 / width, y * 255 / height, (x + 2 * y) * 2 % 256], axis=2)
    return Pillow.fromarray(levels.astype(np.uint8)).convert(mode)


def noise(shape: tuple[int, ...], top: int = 65536) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, top, shape, np.uint16)


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png(width: int, height: int, kind: tuple[int, int] = (8, 2), *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def tiff(levels: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, levels, metadata=None, **options)
    return out.getvalue()


def refused(data: bytes, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(data, limits or Limits())
    assert len(str(caught.value)) < 400
    return caught.value


JPEG = saved(photo(300, 200), "JPEG")
PNG = saved(photo(), "PNG")


def animation(form: str, frames: int = 4, **options: Any) -> bytes:
    pictures = [photo().rotate(20 * i) for i in range(frames)]
    return saved(pictures[0], form, save_all=True, append_images=pictures[1:], **options)


def pages(count: int) -> bytes:
    """A TIFF file of `count` pages of 1x1 without pixels."""
    entries = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 1)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    page = struct.pack("<H", len(entries)) + body
    step = len(page) + 4
    return b"II*\0\x08\0\0\0" + b"".join(
        page + struct.pack("<I", 8 + step * (i + 1)) for i in range(count)
    )
