"""EXIF and XMP: the orientation they state, and the part of them that may travel on."""

import struct

from PIL import Image as Pillow

from superres.geometry import Size

ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
GPS_DIRECTORY = 0x8825
EXIF_PREFIX = b"Exif\0\0"
MAX_BYTES = 65_000  # bytes; a JPEG segment holds 65,533 with its name
# Text about the image; the other tags of the first directory describe how its file was built.
_DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298)
WIDTH, HEIGHT = 0xA002, 0xA003
# Maker notes hold previews, and offsets that are wrong in another file; 0xA005 is a directory.
_DROPPED_TAGS = (0x927C, 0xA005)
# What Pillow raises on EXIF that is not what it says.
EXIF_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    struct.error,
)


def read_orientation(exif: object) -> int:
    """Return 1 to 8 as EXIF has it: how the stored image must be turned; 1 where it says nothing
    valid.

    Reads nothing but the first directory, so that no damage elsewhere matters.
    """
    block = exif.removeprefix(EXIF_PREFIX) if isinstance(exif, bytes) else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(f"{order}H", block, start)
    entries = block[start + 2 : start + 2 + 12 * count]
    for at in range(0, len(entries) - 11, 12):
        tag, kind, number, value = struct.unpack_from(f"{order}HHIH", entries, at)
        if (tag, kind, number) == (ORIENTATION, 3, 1):
            return value if 1 <= value <= 8 else 1
    return 1


def clean_exif(exif: bytes, size: Size) -> Pillow.Exif | None:
    """Descriptions, camera settings and position in `exif`, for an image of `size`.

    Orientation, thumbnail, maker notes and the layout of the old file are left out. None where
    nothing is left, or `exif` is corrupt or too long for a JPEG segment.
    """
    old = Pillow.Exif()
    try:
        old.load(exif)
        made = select_descriptive(old)
        if made is None:
            return None
        settings = made.get_ifd(EXIF_DIRECTORY)
        sides = {WIDTH: size.width, HEIGHT: size.height}
        settings.update({tag: side for tag, side in sides.items() if tag in settings})
        return made if len(made.tobytes()) <= MAX_BYTES else None
    except EXIF_ERRORS:
        return None


def select_descriptive(old: Pillow.Exif) -> Pillow.Exif | None:
    """Return what in `old` is about the image and not about its file."""
    made = Pillow.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if isinstance(text := old.get(tag), str):
            made[tag] = text
    for directory in (EXIF_DIRECTORY, GPS_DIRECTORY):
        kept = {tag: v for tag, v in old.get_ifd(directory).items() if tag not in _DROPPED_TAGS}
        if kept:
            made.get_ifd(directory).update(kept)
    return made if made or made.get_ifd(EXIF_DIRECTORY) or made.get_ifd(GPS_DIRECTORY) else None


def clean_xmp(xmp: bytes) -> bytes | None:
    """Return `xmp` without orientation and thumbnails; None where it is too long for a JPEG
    segment.
    """
    xmp = _cut_attribute(xmp, b"tiff:Orientation=")
    for name in (b"tiff:Orientation", b"xmp:Thumbnails"):
        xmp = _cut_element(xmp, name)
    return xmp if len(xmp) <= MAX_BYTES else None


# Patterns would look from every beginning for an end that is not there, again and again.


def _cut_element(xmp: bytes, name: bytes) -> bytes:
    """Return `xmp` without the elements `name` and what is in them."""
    first, last = b"<" + name + b">", b"</" + name + b">"
    kept, at = [], 0
    while (start := xmp.find(first, at)) >= 0 and (end := xmp.find(last, start)) >= 0:
        kept.append(xmp[at:start])
        at = end + len(last)
    return b"".join([*kept, xmp[at:]])


def _cut_attribute(xmp: bytes, name: bytes) -> bytes:
    """Return `xmp` without the attribute `name`, which ends in "=", and the blanks before it."""
    kept, at, start = [], 0, 0
    while (start := xmp.find(name, start)) >= 0:
        value = start + len(name)
        quotation = xmp[value : value + 1]
        if quotation in (b'"', b"'"):
            end = xmp.find(quotation, value + 1)
            if end < 0:
                break  # not XML: nothing behind it is an attribute
            kept.append(xmp[at:start].rstrip())
            at = value = end + 1
        start = value
    return b"".join([*kept, xmp[at:]])
