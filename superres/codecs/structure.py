"""The structure of a file before it is decoded: what Pillow checks too late, or not at all."""

import re
import struct
from collections.abc import Iterator

from superres.codecs.limits import Limits, check_size
from superres.codecs.png import chunks
from superres.errors import BadImage
from superres.geometry import Size

# Parts of a file beside its pixels, and bytes of a PPM header, that are walked through. Pillow
# takes 20 s or 2 GB for 60 MB of the smallest parts; images have a few dozen.
MAX_PARTS = 100_000


# What Pillow does not check, or only when it is too late


def _check_png(data: bytes, limits: Limits) -> None:
    if (header := chunks.read_header(data)) is not None:
        check_size(Size(header.width, header.height), 1, limits)
    if (flaw := chunks.find_damage(data, MAX_PARTS)) is not None:
        code = "TRUNCATED" if flaw.is_truncated else "UNDECODABLE"
        raise BadImage(f"PNG that is damaged: {flaw.description}", code=code)


def _check_jpeg(data: bytes, _limits: Limits) -> None:
    """Check the number of segments before the pixels, fill bytes included."""
    at, marker = 2, re.compile(rb"\xff([^\xff\xda])?")
    for _ in range(MAX_PARTS):
        found = marker.match(data, at)
        if found is None or at + 4 > len(data):
            return
        at += 1
        if found[1] is not None:
            # These stand alone, the others say how long they are.
            alone = found[1] in b"\x01\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9"
            at += 1 if alone else 1 + int.from_bytes(data[at + 1 : at + 3], "big")
    raise _make_parts_error("JPEG")


def _check_ppm(data: bytes, _limits: Limits) -> None:
    """Check that the size is not behind endless comments."""
    lines = (line.partition(b"#")[0] for line in data[:MAX_PARTS].split(b"\n"))
    if len(b" ".join(lines).split(maxsplit=3)) < 3:
        raise BadImage(f"PPM without a size in its first {MAX_PARTS} bytes")


def _make_parts_error(name: str) -> BadImage:
    return BadImage(f"{name} with more than {MAX_PARTS} parts beside its pixels")


def _check_icons(data: bytes, limits: Limits) -> None:
    """Check each icon's true size: Pillow decodes while it opens and trusts the table."""
    for size in read_icon_sizes(data):
        check_size(size, 1, limits)


def read_icon_sizes(data: bytes) -> Iterator[Size]:
    """Yield the size of each icon in an ICO file. Raises BadImage where one is missing."""
    (count,) = struct.unpack_from("<H", data.ljust(6, b"\0"), 4)
    for at in range(6, min(6 + 16 * count, len(data) - 15), 16):
        (offset,) = struct.unpack_from("<I", data, at + 12)
        icon = data[offset : offset + 33]
        if icon.startswith(chunks.SIGNATURE):
            header = chunks.read_header(icon)
            yield Size(header.width, header.height) if header else Size(0, 0)
        elif len(icon) >= 12:
            width, height = struct.unpack_from("<ii", icon, 4)
            # A bitmap's height counts the rows of its mask too.
            yield Size(abs(width), abs(height) // 2)
        else:
            raise BadImage(f"ICO that is cut short: no icon at byte {offset}", code="TRUNCATED")


def _check_webp(data: bytes, limits: Limits) -> None:
    """Check the size of the canvas, of which libwebp takes two when it opens the file."""
    check_size(read_webp_canvas(data), 1, limits)


def read_webp_canvas(data: bytes) -> Size:
    """Return the size of the canvas of a WebP file."""
    if data[12:16] == b"VP8X":
        sides = data[24:27], data[27:30]
        return Size(*(int.from_bytes(side, "little") + 1 for side in sides))
    if data[12:16] == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return Size((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    packed = int.from_bytes(data[26:30], "little")
    return Size(packed & 0x3FFF, packed >> 16 & 0x3FFF)


def _check_gif(data: bytes, limits: Limits) -> None:
    read_gif_extent(data, limits)


def read_gif_extent(data: bytes, limits: Limits) -> tuple[Size, int]:
    """Return the size that a GIF file's frames need, and how many they are, without decoding any.

    Pillow counts frames without a limit, and lets the image grow from frame to frame. Raises
    TooLarge as soon as `limits` are passed.
    """
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    at, frames, parts = 13 + _count_colour_table_bytes(flags), 0, 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C and at + 10 < len(data):
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            check_size(Size(width, height), frames, limits)
            at, _ = _skip_blocks(data, at + 11 + _count_colour_table_bytes(flags))
            continue
        at, blocks = _skip_blocks(data, at + 2) if data[at] == 0x21 else (at + 1, 0)
        parts += 1 + blocks
        if parts > MAX_PARTS:
            raise _make_parts_error("GIF")
    return Size(width, height), frames


def _count_colour_table_bytes(flags: int) -> int:
    """Return the length of the colour table that `flags` announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> tuple[int, int]:
    """Return where the row of data blocks ends that begins at `at`, and how many they are."""
    blocks = 0
    while at < len(data) and data[at]:
        at += data[at] + 1
        blocks += 1
    return at + 1, blocks


CHECKS = {
    "PNG": _check_png,
    "JPEG": _check_jpeg,
    "WebP": _check_webp,
    "GIF": _check_gif,
    "ICO": _check_icons,
    "PPM": _check_ppm,
}
