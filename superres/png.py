"""PNG files: the check that nothing in one is damaged, and a fast writer, animated ones included.

Of 1920x1080 RGB from enlarged photos, one thread: this writer 16 ms and 2.03 MB, Pillow's default
485 ms and 1.82 MB, Pillow at level 1 119 ms and 2.09 MB, OpenCV at level 1 95 ms and 2.09 MB. The
filter Up is the cheapest and, after enlarging, the smallest but Paeth (2.01 MB, 49 ms).
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from superres.image import Frame

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
UP = 2  # filter: the difference to the byte above
STRIP = 2**20  # bytes filtered and compressed at a time; stays in the cache
LEVEL = 1  # 2 saves 1 % more, 0 costs 10 %


class Header(NamedTuple):
    """What IHDR says."""

    width: int
    height: int
    bit_depth: int
    colour_type: int


def header(data: bytes) -> Header | None:
    """The first chunk of the PNG file `data`, or None where it is not a header."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return Header(*struct.unpack_from(">IIBB", data, 16))


class Flaw(NamedTuple):
    """Where a PNG file is damaged, in words, and whether it is only cut short."""

    what: str
    cut: bool


def flaw(data: bytes, most_chunks: int) -> Flaw | None:
    """The first critical chunk that is cut short or whose checksum is wrong, or None.

    Pillow does not look at the checksums of pixel data. More than `most_chunks` are a flaw too.
    """
    at, size = len(SIGNATURE), len(data)
    view = memoryview(data)
    for _ in range(most_chunks):
        if at + 8 > size:
            return None
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > size:
            left = max(size - at - 12, 0)
            return Flaw(f"chunk {kind!r} of {length} bytes ends after {left}", True)
        # Lower case marks chunks that a picture does not need.
        if (kind[:1].isupper() or kind == b"fdAT") and (
            isal_zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]
        ):
            return Flaw(f"the checksum of chunk {kind!r} at byte {at} is wrong", False)
        if kind == b"IEND":
            return None
        at = end
    return Flaw(f"more than {most_chunks} chunks", False)


class Extras(NamedTuple):
    """What a PNG file holds beside its pixels."""

    icc: bytes | None = None
    exif: bytes | None = None  # from its TIFF header on
    xmp: bytes | None = None


def write(frames: tuple[Frame, ...], extras: Extras, loop: int) -> bytes:
    """A PNG file; of several frames an animated one, which plays `loop` times (0: for ever)."""
    out = BytesIO()
    out.write(SIGNATURE)
    first = frames[0]
    kind = (first.bit_depth, COLOUR_TYPES[first.channels], 0, 0, 0)
    _chunk(out, b"IHDR", struct.pack(">IIBBBBB", *first.size, *kind))
    _extras(out, extras)
    if len(frames) == 1:
        _still(out, first)
    else:
        _animation(out, frames, loop)
    _chunk(out, b"IEND", b"")
    return out.getvalue()


def _chunk(out: BytesIO, kind: bytes, *parts: bytes) -> None:
    out.write(struct.pack(">I", sum(map(len, parts))))
    crc = 0
    for part in (kind, *parts):
        out.write(part)
        crc = isal_zlib.crc32(part, crc)
    out.write(struct.pack(">I", crc))


def _extras(out: BytesIO, extras: Extras) -> None:
    if extras.icc:
        _chunk(out, b"iCCP", b"ICC profile\0\0", zlib.compress(extras.icc))
    if extras.exif:
        _chunk(out, b"eXIf", extras.exif)
    if extras.xmp:
        _chunk(out, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", extras.xmp)


def _still(out: BytesIO, frame: Frame) -> None:
    for part in _compressed(frame):
        _chunk(out, b"IDAT", part)


def _animation(out: BytesIO, frames: tuple[Frame, ...], loop: int) -> None:
    _chunk(out, b"acTL", struct.pack(">II", len(frames), loop))
    sequence = 0
    for index, frame in enumerate(frames):
        _chunk(out, b"fcTL", struct.pack(">I", sequence), _control(frame))
        sequence += 1
        for part in _compressed(frame):
            if index == 0:
                _chunk(out, b"IDAT", part)
            else:
                _chunk(out, b"fdAT", struct.pack(">I", sequence), part)
                sequence += 1


def _control(frame: Frame) -> bytes:
    """Where and how long a frame is shown: everywhere, replacing the one before."""
    delay, unit = frame.milliseconds, 1000
    while delay > 0xFFFF and unit > 1:
        delay, unit = delay // 10, unit // 10
    return struct.pack(">IIIIHHBB", *frame.size, 0, 0, min(delay, 0xFFFF), unit, 0, 0)


def _compressed(frame: Frame) -> Iterator[bytes]:
    """The deflate stream of a frame in parts."""
    compressor = isal_zlib.compressobj(LEVEL)
    for strip in _filtered(frame):
        if part := compressor.compress(strip):
            yield part
    yield compressor.flush()


def _filtered(frame: Frame) -> Iterator[NDArray[np.uint8]]:
    """Strips of rows, each row the number of its filter and its filtered bytes."""
    width = frame.bit_depth // 8
    length = frame.size.width * frame.channels * width
    rows = max(1, STRIP // length)
    above = np.zeros((1, length), np.uint8)
    for top in range(0, frame.size.height, rows):
        strip = frame.rows(top, top + rows).astype(f">u{width}", order="C", copy=False)
        raw = strip.view(np.uint8).reshape(-1, length)
        made = np.empty((raw.shape[0], length + 1), np.uint8)
        made[:, 0] = UP
        np.subtract(raw[:1], above, out=made[:1, 1:])
        np.subtract(raw[1:], raw[:-1], out=made[1:, 1:])
        yield made
        above = raw[-1:]
