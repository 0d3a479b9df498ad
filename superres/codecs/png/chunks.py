"""PNG files: what their headers say, and the check that nothing in one is damaged."""

import struct
from typing import NamedTuple

from isal import isal_zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngHeader(NamedTuple):
    """What IHDR says."""

    width: int
    height: int
    bit_depth: int


def read_header(data: bytes) -> PngHeader | None:
    """Return the first chunk of the PNG file `data`, or None where it is not a header."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return PngHeader(*struct.unpack_from(">IIB", data, 16))


class Damage(NamedTuple):
    """Where a PNG file is damaged, in words, and whether it is only cut short."""

    description: str
    is_truncated: bool


def find_damage(data: bytes, most_chunks: int) -> Damage | None:
    """Return the first critical chunk that is cut short or whose checksum is wrong, or None.

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
            return Damage(f"chunk {kind!r} of {length} bytes ends after {left}", True)
        # Lower case marks chunks that an image does not need.
        if (kind[:1].isupper() or kind == b"fdAT") and (
            isal_zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]
        ):
            return Damage(f"the checksum of chunk {kind!r} at byte {at} is wrong", False)
        if kind == b"IEND":
            return None
        at = end
    return Damage(f"more than {most_chunks} chunks", False)
