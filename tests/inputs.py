"""Bad and odd inputs, and what each must be answered: for the Executor and for every protocol.

Numbers are the rows of the project's test matrix of inputs.
"""

import math
import struct
import zlib
from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from imagecodecs import jpeg8_encode
from PIL import Image


def png(mode: str = "RGB", size: tuple[int, int] = (20, 14), **options: Any) -> bytes:
    """An encoded image with some content; `options` go to Pillow's writer."""
    draw = np.random.default_rng(7)
    levels = draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(levels).convert(mode).save(out, **{"format": "PNG", **options})
    return out.getvalue()


def jpeg(mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    return png(mode, size, format="JPEG", **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises `width` × `height` pixels and which holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def corrupted(data: bytes, kind: bytes) -> bytes:
    """`data` with one flipped bit in the checksum of its first chunk `kind`."""
    at = data.index(kind)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    where = at + 4 + length
    return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]


def with_chunk(data: bytes, extra: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    at = data.index(b"IDAT") - 4
    return data[:at] + extra + data[at:]


def flat_bomb() -> bytes:
    out = BytesIO()
    Image.new("1", (14_000, 14_000)).save(out, "PNG")
    return out.getvalue()


def gps() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return exif


BOMB = zlib.compress(bytes(100_000_000), 9)


def ycck() -> bytes:
    """A red JPEG of four channels as Adobe's programs write it: YCCK, inverted."""
    inverted_red = np.full((14, 20, 4), (255, 0, 0, 255), np.uint8)
    return jpeg8_encode(inverted_red, level=100, colorspace="CMYK", outcolorspace="YCCK")


def interlaced() -> bytes:
    """The image of `png()`, stored in Adam7's seven passes."""
    pixels = np.asarray(Image.open(BytesIO(png())))
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
    passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    )
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def in_tiny_chunks() -> bytes:
    """`png()` with its pixels in chunks of one byte."""
    data = png()
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    pieces = b"".join(chunk(b"IDAT", bytes([byte])) for byte in data[at + 4 : at + 4 + length])
    return data[: at - 4] + pieces + data[at + 8 + length :]


REFUSED_BYTES: list[tuple[str, bytes, set[str]]] = [
    ("1 empty", b"", {"NO_IMAGE", "EMPTY"}),
    ("2 one byte", b"x", {"UNDECODABLE", "FORMAT"}),
    ("2 JPEG header", jpeg()[:20], {"UNDECODABLE", "TRUNCATED", "FORMAT"}),
    ("3 half JPEG", jpeg()[: len(jpeg()) // 2], {"TRUNCATED"}),
    ("3 JPEG less 20 bytes", jpeg()[:-20], {"TRUNCATED"}),
    ("4 half PNG", png()[: len(png()) // 2], {"TRUNCATED"}),
    ("6 bad CRC in IHDR", corrupted(png(), b"IHDR"), {"UNDECODABLE"}),
    ("6 bad CRC in IDAT", corrupted(png(), b"IDAT"), {"UNDECODABLE"}),
    ("7 no pixels", png_header(0, 0), {"UNDECODABLE"}),
    ("8 2^31-1 squared", png_header(2**31 - 1, 2**31 - 1), {"PIXELS"}),
    ("9 flat bomb", flat_bomb(), {"PIXELS"}),
    ("10 a row beyond the limit", png("L", (1000, 401)), {"PIXELS"}),
    ("11 zTXt bomb", with_chunk(png(), chunk(b"zTXt", b"a\0\0" + BOMB)), {"UNDECODABLE", "BYTES"}),
    (
        "32 JPEG of 12 bits",
        jpeg8_encode(np.full((9, 9, 3), 2000, np.uint16), level=90, bitspersample=12),
        {"UNDECODABLE"},
    ),
    ("24 SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', {"FORMAT"}),
    ("25 EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {"FORMAT"}),
    ("25 PDF", b"%PDF-1.7\n", {"FORMAT"}),
    ("25 PSD", b"8BPS\0\1" + bytes(30), {"FORMAT"}),
    ("25 FITS", b"SIMPLE  =                    T".ljust(2880), {"FORMAT"}),
    ("25 WMF", b"\xd7\xcd\xc6\x9a" + bytes(40), {"FORMAT"}),
    ("26 MP4", b"\0\0\0\x18ftypmp42" + bytes(40), {"FORMAT"}),
    ("22 HEIC", b"\0\0\0\x18ftypheic" + bytes(40), {"FORMAT"}),
    ("33 HTML", b"<!doctype html><title>no</title>", {"FORMAT", "UNDECODABLE"}),
    ("57 base64 of an image", b64encode(png()), {"BLOB_IS_BASE64"}),
    ("58 a path", b"/etc/passwd", {"BLOB_IS_PATH"}),
    ("too many bytes", png() + bytes(4 * 2**20), {"BYTES"}),
]

REFUSED_URIS = [
    ("38 NUL", "http://a\0b/"),
    ("38 emoji", "🦄" * 100),
    ("38 10 MB", "http://example.org/" + "a" * 10_000_000),
    ("39 this server", "http://127.0.0.1:51001/"),
    ("40 metadata service", "http://169.254.169.254/latest/meta-data/"),
    ("41 zero", "http://0/"),
    ("41 decimal", "http://2130706433/"),
    ("41 hexadecimal", "http://0x7f.1/"),
    ("41 IPv6 loopback", "http://[::1]/"),
    ("41 mapped", "http://[::ffff:10.0.0.1]/"),
    ("41 NAT64", "http://[64:ff9b::7f00:1]/"),
    ("42 trailing dot", "http://localhost./"),
    ("42 user", "http://user@127.0.0.1/"),
    ("42 fragment", "http://public#@127.0.0.1"),
    ("51 file:", "file:///etc/passwd"),
    ("51 path", "/etc/passwd"),
    ("51 relative", "../x"),
    ("52 ftp", "ftp://example.org/a.png"),
    ("52 gopher", "gopher://example.org/"),
    ("52 javascript", "javascript:alert(1)"),
    ("52 s3", "s3://bucket/key"),
    ("55 bad base64", "data:image/png;base64,@@@@"),
    ("55 empty", "data:,"),
]

TENSORS: list[Any] = [
    np.full((6, 8, 3), 9, np.uint8),
    np.full((6, 8, 4), 9, np.uint8),
    np.full((6, 8, 1), 9, np.uint8),
    np.full((6, 8), 9, np.uint8),
    np.full((6, 8, 3), 0.5, np.float32),
    np.full((6, 8, 3), 0.5, np.float64),
]

# HTTP status of the codes that are not 422, as docs/reference.md says.
STATUS = {"JSON": 400, "BASE64": 400, "BYTES": 413, "DOCUMENTS": 413}

REFUSED_TENSORS: list[tuple[Any, str]] = [
    (np.full((6, 8, 3), 200.0), "RANGE"),
    (np.full((6, 8, 3), np.nan), "NON_FINITE"),
    (np.full((6, 8, 3), np.inf), "NON_FINITE"),
    (np.full((6, 8, 3), -0.5), "RANGE"),
    (np.zeros((3, 6, 8), np.uint8), "SHAPE"),
    (np.zeros((6, 8, 2), np.uint8), "SHAPE"),
    (np.zeros((6, 8, 5), np.uint8), "SHAPE"),
    (np.zeros((1, 6, 8, 3), np.uint8), "SHAPE"),
    (np.zeros((0, 0, 3), np.uint8), "SHAPE"),
    (np.zeros((6, 8, 3), bool), "DTYPE"),
    (np.zeros((6, 8, 3), np.int64), "DTYPE"),
    (np.array([["a", "b"]], object), "DTYPE"),
    (np.array([["a", "b"]]), "DTYPE"),
    (np.zeros((700, 700), np.uint8), "PIXELS"),
]

OPTIONS: list[tuple[str, Any]] = [
    *(("image_format", v) for v in ["exe", "", 1, ["png"], {"a": 1}]),
    *(("quality", v) for v in [-1, 101, 80.5, "abc", math.nan, math.inf, True, [80], "1e99", ""]),
    *(("scale", v) for v in [2, 2.0, [600, -1], {}, True]),
    *(("tile", v) for v in [-1, 0.5, "big", 10**9, True]),
    *(("tile_overlap", v) for v in [-1, "x", 5000]),
    *(("keep_metadata", v) for v in ["maybe", 2, [True]]),
    *(("drop_image_content", v) for v in ["maybe", 2]),
    *(("model", v) for v in ["esrgan", 5, "realesrgan.x4plus"]),
    *(("denoise_strength", v) for v in [0.5, 2, "strong"]),
    *(("face_enhance", v) for v in ["often", True]),
    *(("face_strength", v) for v in [1.5, 0.5]),
    ("errors", "maybe"),
]

SCALES = [
    *["", "600", "600:-1:3", "abc", "0:abc", "-0:x", "600:", ":600", ":", "::", "-7:1", "1e9:1"],
    *["1:1e9", "６００:-1", "1_000:2", '__import__("os"):1', "9^9^9^9:1", "while(1,1):1"],
    *["(" * 10_000, "1+" * 5000 + "1:1", "800x600\0", "100:-1"],
]
