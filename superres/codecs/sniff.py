"""What the first bytes of a file tell, so that it is refused before a decoder sees it."""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from superres.codecs.png import chunks
from superres.errors import BadImage, TooLarge, shown
from superres.geometry import Size


@dataclass(frozen=True)
class Limits:
    """The largest input: encoded bytes, pixels (width × height × frames), frames."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 50_000_000
    max_frames: int = 100


# Parts of a file beside its pixels, and bytes of a PPM header, that are walked through. Pillow
# takes 20 s or 2 GB for 60 MB of the smallest parts; pictures have a few dozen.
MOST_PARTS = 100_000

# How the formats begin that are read.
SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "GIF": rb"GIF8[79]a",
    "AVIF": rb"....ftyp(?:avif|avis|(?:mif1|msf1).{0,40}avi[fs])",
    "BMP": rb"BM",
    "ICO": rb"\0\0\x01\0",
    "PPM": rb"P[456]\s",
}
SUPPORTED = ", ".join(SIGNATURES)

# Refused by name. Most have decoders that are rarely tested, that run other programs (EPS) or
# fetch other files (SVG).
REFUSED = {
    "HEIC": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "MP4": rb"....ftyp",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "PSD": rb"8BPS",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "FITS": rb"SIMPLE  =",
    "WMF": rb"\xd7\xcd\xc6\x9a|\x01\0\x09\0\0\x03",
    "EMF": rb"\x01\0\0\0.{36} EMF",
    "MPEG": rb"\0\0\x01[\xba\xb3]",
    "Matroska or WebM": rb"\x1a\x45\xdf\xa3",
    "DDS": rb"DDS ",
    "QOI": rb"qoif",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "PFM": rb"P[Ff]\s",
    "PAM": rb"P7\s",
    "plain-text PPM": rb"P[123]\s",
    "SVG": rb"\s*(?:<\?xml.*|<!--.*|<!DOCTYPE svg.*)?<svg[\s>]",
    "XML": rb"\s*<\?xml",
    "HTML": rb"(?i)\s*<(?:!doctype html|html|head|body)",
    "ZIP": rb"PK\x03\x04",
    "gzip": rb"\x1f\x8b",
}


def checked_format(data: bytes, limits: Limits) -> str:
    """The name of the format that `data` is in, by its content, one of SIGNATURES.

    Raises what superres.codecs.decode.decode says, as far as it can be known without Pillow.
    """
    if not data:
        raise BadImage("0 bytes: expected an image file", code="EMPTY")
    if len(data) > limits.max_bytes:
        raise TooLarge(
            f"an image file of {len(data)} bytes: at most {limits.max_bytes} are read", code="BYTES"
        )
    name = _recognised(data)
    if name in CHECKS:
        CHECKS[name](data, limits)
    return name


def check_size(size: Size, frames: int, limits: Limits) -> None:
    """Raises TooLarge for more frames, or for more pixels in all of them, than `limits` allow."""
    if min(size) < 1:
        raise BadImage(f"a picture of {size} pixels: expected at least 1x1", code="UNDECODABLE")
    if frames > limits.max_frames:
        raise TooLarge(
            f"{frames} frames or more: at most {limits.max_frames} are read", code="FRAMES"
        )
    if size.pixels * frames > limits.max_pixels:
        times = f" × {frames} frames" if frames > 1 else ""
        raise TooLarge(
            f"a picture of {size}{times} = {size.pixels * frames} pixels: at most "
            f"{limits.max_pixels} are read",
            code="PIXELS",
        )


def _recognised(data: bytes) -> str:
    """The format that `data` begins like, whatever its file was called."""
    head = data[:4096]
    for name, signature in SIGNATURES.items():
        if re.match(signature, head, re.DOTALL):
            return name
    _refuse_text(data)
    for name, signature in REFUSED.items():
        if re.match(signature, head, re.DOTALL):
            raise BadImage(f"{name} is not read: expected {SUPPORTED}", code="FORMAT")
    raise BadImage(
        f"{len(data)} bytes that begin with {shown(data[:8])}: no picture in a known format, "
        f"expected {SUPPORTED}",
        code="UNDECODABLE",
    )


# Text in place of a picture


@dataclass(frozen=True)
class Mistake:
    """Something that clients send in place of a picture."""

    code: str
    what: str
    remedy: str
    made: Callable[[str, int], bool]  # from the first line of text and the length of all


def _refuse_text(data: bytes) -> None:
    """Raises BadImage where `data` is a URL, a path or base64."""
    text = _text(data[:4096])
    if text is None:
        return
    for mistake in MISTAKES:
        if mistake.made(text, len(data)):
            raise BadImage(
                f"the bytes are {mistake.what} ({shown(text, 40)}), not a picture: "
                f"{mistake.remedy}",
                code=mistake.code,
                option="blob",
            )


def _text(head: bytes) -> str | None:
    """`head` where it is text, or None."""
    try:
        text = head.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    return text if text.replace("\n", "").replace("\r", "").isprintable() else None


def _is_url(text: str, _length: int) -> bool:
    return bool(re.match(r"(?i)(?!file:)[a-z][a-z0-9+.-]{1,15}://|data:", text))


def _is_picture_in_base64(text: str, _length: int) -> bool:
    """Whether base64, or base64 of base64, in `text` begins like a format that is read."""
    head = text.encode()
    for _ in range(3):
        head = re.sub(rb"\s", b"", head).translate(bytes.maketrans(b"-_", b"+/"))
        try:
            head = base64.b64decode(head[: len(head) // 4 * 4], validate=True)
        except binascii.Error:
            return False
        if any(re.match(signature, head, re.DOTALL) for signature in SIGNATURES.values()):
            return True
    return False


def _is_path(text: str, length: int) -> bool:
    start = r"(?i)file:|/|\.{1,2}[/\\]|~/|[a-z]:[\\/]|\\\\"
    end = r"(?i)\.(png|jpe?g|jfif|webp|tiff?|bmp|gif|avif|heic|ico|ppm|tga)$"
    one_line = length <= 4096 and "\n" not in text
    return one_line and bool(re.match(start, text) or re.search(end, text))


def _is_base64(text: str, _length: int) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9+/_\r\n-]{16,}={0,2}", text))


# In this order: a JPEG file in base64 begins like a path, "/9j/".
MISTAKES = (
    Mistake("BLOB_IS_URL", "a URL", "send it as uri, or send the bytes of the file", _is_url),
    Mistake(
        "BLOB_IS_BASE64",
        "a picture in base64",
        "decode it once more before sending",
        _is_picture_in_base64,
    ),
    Mistake(
        "BLOB_IS_PATH",
        "the name of a file",
        "send the bytes of the file; the server opens no file that a request names",
        _is_path,
    ),
    Mistake("BLOB_IS_BASE64", "base64 text", "decode it before sending", _is_base64),
)


# What Pillow does not check, or only when it is too late


def _check_png(data: bytes, limits: Limits) -> None:
    if (header := chunks.header(data)) is not None:
        check_size(Size(header.width, header.height), 1, limits)
    if (flaw := chunks.flaw(data, MOST_PARTS)) is not None:
        code = "TRUNCATED" if flaw.cut else "UNDECODABLE"
        raise BadImage(f"PNG that is damaged: {flaw.what}", code=code)


def _check_jpeg(data: bytes, _limits: Limits) -> None:
    """The number of segments before the pixels, fill bytes included."""
    at, marker = 2, re.compile(rb"\xff([^\xff\xda])?")
    for _ in range(MOST_PARTS):
        found = marker.match(data, at)
        if found is None or at + 4 > len(data):
            return
        at += 1
        if found[1] is not None:
            # These stand alone, the others say how long they are.
            alone = found[1] in b"\x01\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9"
            at += 1 if alone else 1 + int.from_bytes(data[at + 1 : at + 3], "big")
    raise _too_many_parts("JPEG")


def _check_ppm(data: bytes, _limits: Limits) -> None:
    """That the size is not behind endless comments."""
    head = re.sub(rb"#[^\n]*\n", b" ", data[:MOST_PARTS])
    if len(head.split(maxsplit=3)) < 3:
        raise BadImage(f"PPM without a size in its first {MOST_PARTS} bytes")


def _too_many_parts(name: str) -> BadImage:
    return BadImage(f"{name} with more than {MOST_PARTS} parts beside its pixels")


def _check_icons(data: bytes, limits: Limits) -> None:
    """The true size of each icon: Pillow decodes while it opens and trusts the table's sizes."""
    for size in icon_sizes(data):
        check_size(size, 1, limits)


def icon_sizes(data: bytes) -> Iterator[Size]:
    """The size of each icon in an ICO file. Raises BadImage where one is missing."""
    (count,) = struct.unpack_from("<H", data.ljust(6, b"\0"), 4)
    for at in range(6, min(6 + 16 * count, len(data) - 15), 16):
        (offset,) = struct.unpack_from("<I", data, at + 12)
        icon = data[offset : offset + 33]
        if icon.startswith(chunks.SIGNATURE):
            header = chunks.header(icon)
            yield Size(header.width, header.height) if header else Size(0, 0)
        elif len(icon) >= 12:
            width, height = struct.unpack_from("<ii", icon, 4)
            # A bitmap's height counts the rows of its mask too.
            yield Size(abs(width), abs(height) // 2)
        else:
            raise BadImage(f"ICO that is cut short: no icon at byte {offset}", code="TRUNCATED")


def _check_webp(data: bytes, limits: Limits) -> None:
    """The size of the canvas, of which libwebp takes two when it opens the file."""
    check_size(webp_canvas(data), 1, limits)


def webp_canvas(data: bytes) -> Size:
    """The size of the canvas of a WebP file."""
    if data[12:16] == b"VP8X":
        sides = data[24:27], data[27:30]
        return Size(*(int.from_bytes(side, "little") + 1 for side in sides))
    if data[12:16] == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return Size((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    packed = int.from_bytes(data[26:30], "little")
    return Size(packed & 0x3FFF, packed >> 16 & 0x3FFF)


def _check_gif(data: bytes, limits: Limits) -> None:
    gif_extent(data, limits)


def gif_extent(data: bytes, limits: Limits) -> tuple[Size, int]:
    """The size that a GIF file's frames need, and how many they are, without decoding any.

    Pillow counts frames without a limit, and lets the picture grow from frame to frame. Raises
    TooLarge as soon as `limits` are passed.
    """
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    at, frames, parts = 13 + _colour_table(flags), 0, 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C and at + 10 < len(data):
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            check_size(Size(width, height), frames, limits)
            at, _ = _past_blocks(data, at + 11 + _colour_table(flags))
            continue
        at, blocks = _past_blocks(data, at + 2) if data[at] == 0x21 else (at + 1, 0)
        parts += 1 + blocks
        if parts > MOST_PARTS:
            raise _too_many_parts("GIF")
    return Size(width, height), frames


def _colour_table(flags: int) -> int:
    """The length of the colour table that `flags` announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_blocks(data: bytes, at: int) -> tuple[int, int]:
    """Where the row of data blocks ends that begins at `at`, and how many they are."""
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
