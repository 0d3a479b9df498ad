"""TIFF files: a reader of 16-bit pages and a writer of any, deflate-compressed.

Pillow neither reads nor writes 16-bit colour, and writes no EXIF into a compressed file.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from superres.codecs.exif_xmp import EXIF_DIRECTORY, GPS_DIRECTORY, ORIENTATION
from superres.image.frame import Frame, Pixels

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, LENGTHS, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, EXTRA, SAMPLE_FORMAT, XMP, ICC = 317, 338, 339, 700, 34675

BYTE, ASCII, SHORT, LONG, UNDEFINED = 1, 2, 3, 4, 7  # kinds of values
_CODES = {SHORT: "H", LONG: "I"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha: premultiplied or not
DEFLATE, HORIZONTAL, CHUNKY, APART, UNSIGNED = 8, 2, 1, 2, 1
STRIP = 2**18  # bytes of a strip before compression
_LEVEL = 1


# Reading


def is_deep(image_file: TiffImageFile) -> bool:
    """Return whether the current page holds 16-bit unsigned grey or RGB."""
    return (
        bits(image_file) == {16}
        and set(_tag(image_file, SAMPLE_FORMAT, UNSIGNED)) == {UNSIGNED}
        and _tag(image_file, PHOTOMETRIC, -1)[0] in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
    )


def bits(image_file: TiffImageFile) -> set[int]:
    """Return the bits of the current page's samples."""
    return set(_tag(image_file, BITS, 1))


def orientation(image_file: TiffImageFile) -> int:
    """Return 1 to 8 as EXIF has it: how the stored page must be turned."""
    return _tag(image_file, ORIENTATION, 1)[0]


def read(image_file: TiffImageFile, data: bytes, index: int) -> Pixels:
    """Return (h, w, 1 to 4) levels of the current page, the `index`-th of `data`, as they are
    stored.

    The page is deep. White is 65535, alpha is not premultiplied.
    """
    levels = _levels(image_file, data, index)
    photometric = _tag(image_file, PHOTOMETRIC, -1)[0]
    colours = 3 if photometric == RGB else 1
    if photometric == WHITE_IS_ZERO:
        levels[..., 0] = 65535 - levels[..., 0]
    extra = _tag(image_file, EXTRA, 0)[0] if levels.shape[2] > colours else 0
    if extra == ASSOCIATED:
        levels[..., :colours] = _divide_by_alpha(levels[..., :colours], levels[..., colours, None])
    return levels[..., : colours + (extra in (ASSOCIATED, UNASSOCIATED))]


def _levels(image_file: TiffImageFile, data: bytes, index: int) -> NDArray[np.uint16]:
    """Return (h, w, samples) as libtiff has them."""
    width, height = _tag(image_file, WIDTH, 0)[0], _tag(image_file, HEIGHT, 0)[0]
    samples = _tag(image_file, SAMPLES, 1)[0]
    # The shape is given, so that Pillow, whose size was checked, and libtiff cannot disagree.
    if samples > 1 and _tag(image_file, PLANAR, CHUNKY)[0] == APART:
        planes = np.empty((samples, height, width), np.uint16)
        imagecodecs.tiff_decode(data, index=index, out=planes)
        return np.moveaxis(planes, 0, 2)
    levels = np.empty((height, width, samples)[: 2 + (samples > 1)], np.uint16)
    imagecodecs.tiff_decode(data, index=index, out=levels)
    return levels.reshape(height, width, samples)


def _tag(image_file: TiffImageFile, tag: int, default: int) -> tuple[int, ...]:
    """Return the values of a tag of the current page."""
    value = image_file.tag_v2.get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _divide_by_alpha(colour: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[Any]:
    """Return `colour` divided by `alpha`."""
    divisor = np.maximum(alpha, 1).astype(np.uint32)
    made: NDArray[Any] = (colour * np.uint32(65535) + divisor // 2) // divisor
    return made.clip(max=65535)


# Writing


class Entry(NamedTuple):
    """One tag of a directory."""

    tag: int
    kind: int
    number: int  # of values
    value: bytes


class TiffMetadata(NamedTuple):
    """What a TIFF file holds beside its pixels."""

    icc: bytes | None = None
    exif: Pillow.Exif | None = None
    xmp: bytes | None = None


def write_tiff(frames: tuple[Frame, ...], extras: TiffMetadata) -> bytes:
    """Return a TIFF file with a page for each frame; `extras` belong to the first."""
    out = BytesIO()
    out.write(b"II*\0\0\0\0\0")
    link = 4
    for index, frame in enumerate(frames):
        entries = _page(out, frame)
        if index == 0:
            entries += _extras(out, extras)
        link = _directory(out, sorted(entries), link)
    return out.getvalue()


def _page(out: BytesIO, frame: Frame) -> list[Entry]:
    """Write the pixels of `frame`; the tags that tell where and how."""
    offsets, lengths, rows, samples = [], [], 1, frame.channels
    for strip in _strips(frame):
        offsets.append(_align(out))
        lengths.append(out.write(isal_zlib.compress(_differences(strip), _LEVEL)))
        if len(offsets) == 1:
            rows, samples = strip.shape[0], strip.shape[2]
    entries = [
        _numbers(WIDTH, LONG, frame.size.width),
        _numbers(HEIGHT, LONG, frame.size.height),
        _numbers(BITS, SHORT, *[frame.bit_depth] * samples),
        _numbers(COMPRESSION, SHORT, DEFLATE),
        _numbers(PHOTOMETRIC, SHORT, RGB if samples > 2 else BLACK_IS_ZERO),
        _numbers(OFFSETS, LONG, *offsets),
        _numbers(SAMPLES, SHORT, samples),
        _numbers(ROWS, LONG, rows),
        _numbers(LENGTHS, LONG, *lengths),
        _numbers(PLANAR, SHORT, CHUNKY),
        _numbers(PREDICTOR, SHORT, HORIZONTAL),
        _numbers(SAMPLE_FORMAT, SHORT, *[UNSIGNED] * samples),
    ]
    return entries if frame.alpha is None else [*entries, _numbers(EXTRA, SHORT, UNASSOCIATED)]


def _strips(frame: Frame) -> Iterator[Pixels]:
    """Yield the (n, w, samples) pixels from top to bottom."""
    # Pillow reads no 16-bit grey with alpha.
    grown = frame.channels == 2 and frame.bit_depth == 16
    rows = max(1, STRIP // (frame.size.width * frame.channels * frame.bit_depth // 8))
    for top in range(0, frame.size.height, rows):
        strip = frame.rows(top, top + rows)
        yield strip[..., [0, 0, 0, 1]] if grown else strip


def _differences(strip: Pixels) -> Pixels:
    """Return each sample less its left neighbour."""
    made: Pixels = strip.astype(f"<u{strip.dtype.itemsize}", order="C")
    made[:, 1:] -= strip[:, :-1]
    return made


def _extras(out: BytesIO, extras: TiffMetadata) -> list[Entry]:
    entries = []
    if extras.xmp:
        entries.append(Entry(XMP, BYTE, len(extras.xmp), extras.xmp))
    if extras.icc:
        entries.append(Entry(ICC, UNDEFINED, len(extras.icc), extras.icc))
    if extras.exif is None:
        return entries
    for tag, text in extras.exif.items():
        value = str(text).encode("utf-8", "replace") + b"\0"
        entries.append(Entry(tag, ASCII, len(value), value))
    for tag in (EXIF_DIRECTORY, GPS_DIRECTORY):
        if values := extras.exif.get_ifd(tag):
            directory = ImageFileDirectory_v2(group=tag)
            for key, value in values.items():
                directory[key] = value
            start = _align(out)
            out.write(directory.tobytes(start))
            entries.append(_numbers(tag, LONG, start))
    return entries


def _numbers(tag: int, kind: int, *values: int) -> Entry:
    return Entry(tag, kind, len(values), struct.pack(f"<{len(values)}{_CODES[kind]}", *values))


def _directory(out: BytesIO, entries: list[Entry], link: int) -> int:
    """Write a directory and its address at `link`; where the next one's address belongs."""
    packed = []
    for tag, kind, number, value in entries:
        start = _align(out)
        # Up to four bytes stand in the place of their address.
        inside = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", start)
        if inside[: len(value)] != value:
            out.write(value)
        packed.append(struct.pack("<HHI", tag, kind, number) + inside)
    start = _align(out)
    out.write(struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4))
    end = out.tell()
    out.seek(link)
    out.write(struct.pack("<I", start))
    out.seek(end)
    return end - 4


def _align(out: BytesIO) -> int:
    """Return the end of the file, made even."""
    if out.tell() % 2:
        out.write(b"\0")
    return out.tell()
