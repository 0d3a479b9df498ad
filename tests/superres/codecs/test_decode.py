"""Rows of the test matrix of inputs: damaged, hostile, odd and plain image files."""

import base64
import io
import resource
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from superres.codecs.decode import Limits, decode
from superres.codecs.signatures import SUPPORTED
from superres.errors import BadImage, Refused, TooLarge

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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


def flat_png(width: int, height: int) -> bytes:
    """Grey 0: 14000² take 200 MB in memory and 200 kB here."""
    packer = zlib.compressobj(1)
    rows = bytes((width + 1) * 100)
    data = b"".join(packer.compress(rows) for _ in range(height // 100))
    data += packer.compress(bytes((width + 1) * (height % 100))) + packer.flush()
    return png(width, height, (8, 0), chunk(b"IDAT", data), chunk(b"IEND", b""))


def tiff(levels: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, levels, metadata=None, **options)
    return out.getvalue()


def after(data: bytes, mark: bytes, change: int) -> bytes:
    """`data` with one byte flipped, `change` bytes after `mark`."""
    at = data.index(mark) + change
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def refused(data: bytes, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(data, limits or Limits())
    assert len(str(caught.value)) < 400
    return caught.value


JPEG = saved(photo(300, 200), "JPEG")
PROGRESSIVE = saved(photo(300, 200), "JPEG", progressive=True)
PNG = saved(photo(), "PNG")


# Damaged files


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "EMPTY"),
        (b"\x89", "UNDECODABLE"),
        (b"\xff\xd8\xff", "UNDECODABLE"),
        (JPEG[:20], "UNDECODABLE"),
        (bytes(1000), "UNDECODABLE"),
        (bytes(range(256)), "UNDECODABLE"),
        *[(data[: len(data) // 2], "TRUNCATED") for data in (JPEG, PROGRESSIVE)],
        *[(data[:-cut], "TRUNCATED") for data in (JPEG, PROGRESSIVE) for cut in (20, 2, 1)],
        (PNG[: len(PNG) // 2], "TRUNCATED"),
        (after(PNG, b"IHDR", 4 + 13), "UNDECODABLE"),
        (after(PNG, b"IDAT", 30), "UNDECODABLE"),
        (after(PNG, b"IEND", -5), "UNDECODABLE"),
        (png(0, 0), "UNDECODABLE"),
        (png(0, 5), "UNDECODABLE"),
        (png(5, 5), "UNDECODABLE"),
        (png(5, 5, (8, 2), chunk(b"IEND", b"")), "UNDECODABLE"),
        (png(50, 50, (8, 2), chunk(b"IDAT", zlib.compress(bytes(300)))), "TRUNCATED"),
        (saved(photo(), "GIF")[:500], "TRUNCATED"),
        (saved(photo(), "BMP")[:-9], "TRUNCATED"),
        (saved(photo(), "PPM")[:-9], "TRUNCATED"),
        (saved(photo(), "TIFF")[:-9], "TRUNCATED"),
        (saved(photo(), "AVIF")[:-9], "TRUNCATED"),
        (saved(photo(), "WEBP")[:-9], "UNDECODABLE"),
        (imagecodecs.png_encode(noise((50, 40, 3)))[:-100], "TRUNCATED"),
        (after(imagecodecs.png_encode(noise((50, 40, 3))), b"IDAT", 400), "UNDECODABLE"),
        (tiff(noise((50, 40, 3)), photometric="rgb")[:-100], "UNDECODABLE"),
        (b"some words <b>&amp;</b> about \xe9", "UNDECODABLE"),
        (b"junk" + JPEG, "UNDECODABLE"),
    ],
)
def test_a_damaged_file_is_refused_and_never_half_a_picture(data: bytes, code: str) -> None:
    assert refused(data).code == code


@pytest.mark.parametrize(
    "data",
    [
        PNG[: PNG.index(b"IEND") - 4],  # no end
        PNG + b"anything",
        JPEG + b"<html>anything</html>",
    ],
)
def test_what_lies_around_a_whole_picture_does_no_harm(data: bytes) -> None:
    assert decode(data).frames[0].colour.any()


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_compressed_chunk_that_grows_to_100_mb_is_refused(kind: bytes, place: str) -> None:
    bomb = zlib.compress(bytes(100 * 2**20), 1)
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    at = PNG.index(b"IDAT" if place == "before" else b"IEND") - 4
    started = time.process_time()
    assert refused(PNG[:at] + chunk(kind, head + bomb) + PNG[at:]).code == "UNDECODABLE"
    assert time.process_time() - started < 0.2


def test_random_damage_never_raises_anything_but_a_refusal() -> None:
    files = [
        saved(photo(24, 16), "JPEG"),
        saved(photo(24, 16), "PNG"),
        saved(photo(24, 16), "GIF", save_all=True, append_images=[photo(24, 16).rotate(9)]),
        saved(photo(24, 16), "WEBP"),
        saved(photo(24, 16), "TIFF"),
        saved(photo(24, 16), "BMP"),
        saved(photo(32, 32), "ICO", sizes=[(32, 32)]),
        saved(photo(24, 16), "AVIF"),
        tiff(noise((16, 24, 3)), photometric="rgb", compression="zlib"),
    ]
    random = np.random.default_rng(0)
    for data in files * 40:
        damaged = np.frombuffer(data, np.uint8).copy()
        at = random.integers(0, len(data), 3)
        damaged[at] = random.integers(0, 256, 3)
        try:
            image = decode(damaged.tobytes(), Limits(max_pixels=100_000))
        except Refused as error:
            assert error.code  # noqa: PT017 - either a picture or a refusal
        else:
            assert image.size.pixels <= 100_000


# Too large


@pytest.mark.parametrize(
    "data",
    [
        flat_png(14_000, 14_000),
        png(2**31 - 1, 2**31 - 1),
        png(2**31 - 1, 1),
        b"BM" + struct.pack("<IIIIiiHH24x", 54, 0, 54, 40, 30_000, 30_000, 1, 24),
        b"P6 30000 30000 255\n" + bytes(100),
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\0",
        # A frame that sticks out of a small picture.
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + b",\0\0\0\0\1\0\1\0\0\2\0"
        + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;",
        JPEG.replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65500, 65500)),
        tiff(np.zeros((4, 4), np.uint8)).replace(
            struct.pack("<HHII", 256, 4, 1, 4), struct.pack("<HHII", 256, 4, 1, 2**31)
        ),
        # An icon that says 16 x 16 and is not.
        struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 200, 22) + png(2**15, 2**15),
        struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 200, 22)
        + struct.pack("<Iii28x", 40, 2**15, 2**16),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"VP8 \0\0\0\0",
        b"RIFF\x1e\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + bytes(9),
        b"RIFF\x1e\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(9),
    ],
    ids=lambda data: f"{data[:6]!r} {len(data)}",
)
def test_too_many_pixels_are_refused_from_the_header_alone(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    error = refused(data)
    assert time.process_time() - started < 0.05
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # kB
    assert isinstance(error, TooLarge)
    assert error.code == "PIXELS"
    assert "at most 50000000" in str(error)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "PPM"])
def test_the_limit_of_pixels_is_exact_and_named(form: str) -> None:
    limits = Limits(max_pixels=40 * 30)
    assert decode(saved(photo(40, 30), form), limits).size == (40, 30)
    error = refused(saved(photo(40, 31), form), limits)
    assert error.code == "PIXELS"
    assert "1240" in str(error)
    assert "1200" in str(error)


def test_the_limit_of_bytes_is_exact_and_named() -> None:
    assert decode(PNG, Limits(max_bytes=len(PNG)))
    error = refused(PNG, Limits(max_bytes=len(PNG) - 1))
    assert isinstance(error, TooLarge)
    assert error.code == "BYTES"
    assert str(len(PNG)) in str(error)
    assert str(len(PNG) - 1) in str(error)


def animation(form: str, frames: int = 4, **options: Any) -> bytes:
    pictures = [photo().rotate(20 * i) for i in range(frames)]
    return saved(pictures[0], form, save_all=True, append_images=pictures[1:], **options)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_pixels_of_all_frames_count_and_so_do_the_frames(form: str) -> None:
    data = animation(form, 5)
    assert len(decode(data, Limits(max_pixels=5 * 2400, max_frames=5)).frames) == 5
    error = refused(data, Limits(max_pixels=5 * 2400 - 1))
    assert error.code == "PIXELS"
    assert "11999" in str(error)
    error = refused(data, Limits(max_frames=4))
    assert error.code == "FRAMES"
    assert "4" in str(error)


def pages(count: int) -> bytes:
    """A TIFF file of `count` pages of 1x1 without pixels."""
    entries = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 1)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    page = struct.pack("<H", len(entries)) + body
    step = len(page) + 4
    return b"II*\0\x08\0\0\0" + b"".join(
        page + struct.pack("<I", 8 + step * (i + 1)) for i in range(count)
    )


@pytest.mark.parametrize(
    "data",
    [
        pages(100_000),
        PNG[:33] + chunk(b"tEXt", b"a\0") * 200_000,
        PNG[:33] + chunk(b"IDAT", b"") * 200_000,
        b"\xff\xd8" + b"\xff" * 2_000_000,
        b"\xff\xd8" + b"\xff\xe5\0\2" * 500_000,
        b"P6\n" + b"#\n" * 1_000_000,
        b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\0" * 100_000,
        b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1a" * 500_000,
        b"GIF89a\1\0\1\0\0\0\0" + (b"!\xfe" + b"\1a" * 50_000 + b"\0") * 10,
        b" " * 2_000_000,
        b"<?xml" + b" <svg" * 500_000,
    ],
    ids=lambda data: f"{data[:9]!r} {len(data)}",
)
def test_files_of_endless_parts_are_not_walked(data: bytes) -> None:
    started = time.process_time()
    assert refused(data).code in {"FRAMES", "UNDECODABLE", "FORMAT"}
    assert time.process_time() - started < 0.3


# Other formats


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "http://h">]><svg>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(30), "PSD"),
        (b"SIMPLE  =                    T" + b" " * 3000, "FITS"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "WMF"),
        (b"\0\0\1\xba" + bytes(40), "MPEG"),
        (b"\0\0\1\xb3" + bytes(40), "MPEG"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41", "MP4"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (saved(photo(), "QOI"), "QOI"),
        (saved(photo(), "JPEG2000"), "JPEG 2000"),
        (b"PF\n1 1\n-1.0\n" + bytes(12), "PFM"),
        (b"P3 1 1 255 1 2 3\n", "plain-text PPM"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"<html>" + JPEG, "HTML"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_formats_are_refused_by_name(data: bytes, name: str) -> None:
    error = refused(data)
    assert error.code == "FORMAT"
    assert str(error) == f"{name} is not read: expected {SUPPORTED}"


@pytest.mark.parametrize("form", ["TGA", "PCX", "SGI", "MSP", "SPIDER", "XBM", "DDS"])
def test_rare_formats_that_pillow_reads_are_refused(form: str) -> None:
    mode = {"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(form, "RGB")
    assert refused(saved(photo(mode=mode), form)).code in {"FORMAT", "UNDECODABLE"}


# Text in place of a picture


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("https://example.org/a/photo.jpg?size=large#top", "BLOB_IS_URL"),
        ("HTTP://example.org", "BLOB_IS_URL"),
        ("s3://bucket/photo.jpg", "BLOB_IS_URL"),
        ("data:image/png;base64,iVBORw0KGgo=", "BLOB_IS_URL"),
        ("file:///etc/passwd", "BLOB_IS_PATH"),
        ("/no/such.png", "BLOB_IS_PATH"),
        ("/etc/passwd", "BLOB_IS_PATH"),
        ("../secret", "BLOB_IS_PATH"),
        ("C:\\Users\\me\\photo.jpg", "BLOB_IS_PATH"),
        ("photo.JPG", "BLOB_IS_PATH"),
        ("Fotos/Müller.png\n", "BLOB_IS_PATH"),
        *[(base64.b64encode(data).decode(), "BLOB_IS_BASE64") for data in (JPEG, PNG)],
        (base64.urlsafe_b64encode(JPEG).decode(), "BLOB_IS_BASE64"),
        (base64.encodebytes(JPEG).decode(), "BLOB_IS_BASE64"),
        (base64.b64encode(base64.b64encode(PNG)).decode(), "BLOB_IS_BASE64"),
        (base64.b64encode(bytes(300)).decode(), "BLOB_IS_BASE64"),
    ],
)
def test_text_in_place_of_a_picture_is_refused_with_a_hint(text: str, code: str) -> None:
    error = refused(text.encode())
    assert isinstance(error, BadImage)
    assert error.code == code
    assert error.option == "blob"


# Formats and modes


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("PNG", "png"),
        ("JPEG", "jpeg"),
        ("WEBP", "webp"),
        ("TIFF", "tiff"),
        ("GIF", "gif"),
        ("AVIF", "avif"),
        ("BMP", "bmp"),
        ("ICO", "png"),
        ("PPM", "png"),
        ("MPO", "jpeg"),
    ],
)
def test_a_format_is_known_by_content(form: str, answer: str) -> None:
    picture = photo(32, 32)
    options: dict[str, Any] = {
        "ICO": {"sizes": [(32, 32)]},
        "MPO": {"save_all": True, "append_images": [photo(8, 8)]},
        "GIF": {"palette": None},
    }.get(form, {})
    image = decode(saved(picture, form, **options))
    assert image.format == answer
    assert image.size == (32, 32)
    assert len(image.frames) == 1
    error = np.abs(image.frames[0].colour.astype(int) - np.asarray(picture)).mean()
    assert error < 6


@pytest.mark.parametrize("bitmap", [True, False])
def test_the_largest_icon_is_read_with_its_transparency(bitmap: bool) -> None:
    picture = photo(64, 64, "RGBA")
    picture.putalpha(Pillow.linear_gradient("L").resize((64, 64)))
    sizes = [(16, 16), (64, 64)]
    form = "bmp" if bitmap else "png"
    frame = decode(saved(picture, "ICO", sizes=sizes, bitmap_format=form)).frames[0]
    assert np.array_equal(frame.rows(0, 64), np.asarray(picture))


PLAIN: dict[str, tuple[str, int, bool]] = {  # mode: how Pillow converts it, channels, alpha
    "1": ("L", 1, False),
    "L": ("L", 1, False),
    "LA": ("LA", 1, True),
    "P": ("RGB", 3, False),
    "RGB": ("RGB", 3, False),
    "RGBA": ("RGBA", 3, True),
    "CMYK": ("RGB", 3, False),
    "YCbCr": ("RGB", 3, False),
    "PA": ("RGBA", 3, True),
}


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *[("TIFF", mode) for mode in PLAIN],
        *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
    ],
)
def test_grey_stays_grey_and_all_else_becomes_rgb(form: str, mode: str) -> None:
    picture = photo().convert("P").convert("PA") if mode == "PA" else photo(mode=mode)
    converted, channels, transparent = PLAIN[mode]
    frame = decode(saved(picture, form)).frames[0]
    assert frame.colour.shape == (40, 60, channels)
    assert (frame.alpha is not None) == transparent
    expected = np.asarray(picture.convert(converted)).reshape(40, 60, -1)
    assert np.array_equal(frame.rows(0, 40), expected)


@pytest.mark.parametrize(
    ("mode", "transparent", "channels"),
    [
        ("P", 3, 4),
        ("P", bytes([0, 128, 255, 7]), 4),
        ("L", 7, 2),
        ("RGB", (1, 2, 3), 4),
        ("1", 0, 2),
    ],
)
def test_a_transparent_colour_becomes_alpha(
    mode: str, transparent: int | bytes | tuple[int, ...], channels: int
) -> None:
    picture = photo(mode=mode)
    picture.paste(transparent if isinstance(transparent, int | tuple) else 1, (0, 0, 9, 9))
    frame = decode(saved(picture, "PNG", transparency=transparent)).frames[0]
    assert frame.channels == channels
    assert frame.alpha is not None
    assert (frame.alpha[:9, :9] == (128 if isinstance(transparent, bytes) else 0)).all()
    assert frame.alpha.max() == 255


@pytest.mark.parametrize("kind", [None, "jpeg-cmyk", "tiff-cmyk"])
def test_cmyk_keeps_its_hues(shared_data: Path, kind: str | None) -> None:
    if kind is None:
        frame = decode((shared_data / "photos" / "cmyk.jpg").read_bytes()).frames[0]
        with Pillow.open(shared_data / "photos" / "cmyk.jpg") as picture:
            expected = np.asarray(picture.convert("RGB"))
    else:
        flat = Pillow.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK")
        form, options = ("JPEG", {"quality": 100}) if kind == "jpeg-cmyk" else ("TIFF", {})
        frame = decode(saved(flat, form, **options)).frames[0]
        expected = np.full((16, 16, 3), (200, 60, 30))
    assert np.abs(frame.colour.astype(int) - expected).max() <= 2


def test_ycck_keeps_its_hues() -> None:
    flat = np.broadcast_to(np.array([55, 195, 225, 0], np.uint8), (32, 32, 4)).copy()
    data = imagecodecs.jpeg8_encode(
        255 - flat, level=100, colorspace="CMYK", outcolorspace="YCCK", subsampling="444"
    )
    frame = decode(data).frames[0]
    assert np.abs(frame.colour.astype(int) - (200, 60, 30)).max() <= 3


def test_cielab_becomes_rgb() -> None:
    lab = np.broadcast_to(np.array([53, 80, 67], np.int8), (8, 8, 3)).copy()  # red
    lab[..., 0] = np.int8(135 - 256)  # L is 0..255 for 0..100
    data = tiff(lab.view(np.uint8), photometric="cielab")
    assert np.abs(decode(data).frames[0].colour.astype(int) - (255, 0, 0)).max() <= 12


@pytest.mark.parametrize("top", [65536, 201])
@pytest.mark.parametrize(
    ("form", "channels"),
    [
        *[("PNG", channels) for channels in (1, 2, 3, 4)],
        # Pillow opens no 16-bit grey TIFF with alpha.
        *[(form, n) for form in ("TIFF", "deflate", "big-endian") for n in (1, 3, 4)],
        *[("planes", channels) for channels in (3, 4)],
    ],
)
def test_16_bits_stay_16_bits_however_dark(form: str, channels: int, top: int) -> None:
    levels = noise((9, 12, channels), top)
    squeezed = levels[..., 0] if channels == 1 else levels
    if form == "PNG":
        data = imagecodecs.png_encode(squeezed)
    else:
        options: dict[str, Any] = {"photometric": "rgb" if channels > 2 else "minisblack"}
        options |= {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        options |= {
            "deflate": {"compression": "zlib", "predictor": True},
            "planes": {"planarconfig": "separate"},
            "big-endian": {"byteorder": ">"},
        }.get(form, {})
        data = tiff(np.moveaxis(levels, 2, 0) if form == "planes" else squeezed, **options)
    frame = decode(data).frames[0]
    assert frame.bit_depth == 16
    assert np.array_equal(frame.rows(0, 9), levels)


def test_16_bit_grey_whose_white_is_0_is_inverted() -> None:
    levels = noise((9, 12))
    frame = decode(tiff(levels, photometric="miniswhite")).frames[0]
    assert np.array_equal(frame.colour[..., 0], 65535 - levels)


def test_premultiplied_16_bit_colour_is_divided_by_alpha() -> None:
    stored = np.array([[[30000, 15000, 0, 30000], [0, 0, 0, 0], [9, 9, 9, 65535]]], np.uint16)
    frame = decode(tiff(stored, photometric="rgb", extrasamples=["assocalpha"])).frames[0]
    assert frame.colour[0].tolist() == [[65535, 32768, 0], [0, 0, 0], [9, 9, 9]]


def test_a_transparent_colour_of_16_bits_becomes_alpha() -> None:
    levels = noise((6, 6, 3))
    data = imagecodecs.png_encode(levels)
    colour = chunk(b"tRNS", levels[2, 3].astype(">u2").tobytes())
    frame = decode(data[:33] + colour + data[33:]).frames[0]
    assert frame.alpha is not None
    assert np.argwhere(frame.alpha == 0).tolist() == [[2, 3]]


def test_portable_greymaps_of_any_range_reach_white() -> None:
    for top in (255, 1023, 65535):
        depth = ">u2" if top > 255 else "u1"
        data = b"P5 3 1 %d\n" % top + np.array([0, top // 2, top], depth).tobytes()
        frame = decode(data).frames[0]
        assert frame.colour[0, 0, 0] == 0
        assert frame.colour[0, 2, 0] == frame.white


@pytest.mark.parametrize(
    "levels",
    [
        np.ones((4, 4), np.float32),
        np.ones((4, 4), np.float64),
        np.ones((4, 4, 3), np.float32),
        np.ones((4, 4), np.uint32),
        np.ones((4, 4), np.int32),
        np.ones((4, 4), np.int16),
    ],
    ids=lambda levels: f"{levels.dtype} {levels.ndim}",
)
def test_samples_whose_range_is_unknown_are_refused_and_never_black(levels: NDArray[Any]) -> None:
    photometric = "rgb" if levels.ndim == 3 else "minisblack"
    assert refused(tiff(levels, photometric=photometric)).code == "MODE"


@pytest.mark.parametrize(
    "options",
    [{"bitspersample": 12}, {"lossless": True}, {"bitspersample": 16, "lossless": True}],
    ids=str,
)
def test_rare_kinds_of_jpeg_are_read_or_refused(options: dict[str, Any]) -> None:
    bits = options.get("bitspersample", 8)
    levels = (noise((16, 16, 3)) >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.jpeg8_encode(levels, **options)
    try:
        assert decode(data).size == (16, 16)
    except BadImage as error:
        assert error.code == "UNDECODABLE"  # noqa: PT017


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (17, 33), (1, 20_000), (20_000, 1)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_odd_sizes_are_exact(form: str, size: tuple[int, int]) -> None:
    assert decode(saved(Pillow.new("RGB", size, "red"), form)).size == size


def test_interlaced_and_finely_chunked_png_is_the_same_picture() -> None:
    plain = decode(PNG).frames[0].colour
    body = PNG[PNG.index(b"IDAT") + 4 : PNG.index(b"IEND") - 8]
    bits = b"".join(chunk(b"IDAT", body[i : i + 1]) for i in range(len(body)))
    pieces = PNG[:33] + bits + chunk(b"IEND", b"")
    assert np.array_equal(decode(pieces).frames[0].colour, plain)


# Orientation and profile


TURNS = {
    1: [],
    2: [Pillow.Transpose.FLIP_LEFT_RIGHT],
    3: [Pillow.Transpose.ROTATE_180],
    4: [Pillow.Transpose.FLIP_TOP_BOTTOM],
    5: [Pillow.Transpose.TRANSPOSE],
    6: [Pillow.Transpose.ROTATE_90],
    7: [Pillow.Transpose.TRANSVERSE],
    8: [Pillow.Transpose.ROTATE_270],
}


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    value = struct.pack(f"{order}HH" if kind == 3 else f"{order}I", *[orientation, 0][: 5 - kind])
    entry = struct.pack(f"{order}HHHI", 1, 0x0112, kind, 1) + value
    return b"Exif\0\0" + head + entry + bytes(4)


def test_the_eight_orientations_show_one_picture() -> None:
    upright = photo()
    for number, turns in TURNS.items():
        stored = upright
        for turn in turns:
            stored = stored.transpose(turn)
        for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
            options: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
            options |= {"lossless": True} if form == "WEBP" else {}
            image = decode(saved(stored, form, exif=exif(number), **options))
            assert image.size == upright.size, (form, number)
            error = np.abs(image.frames[0].colour.astype(int) - np.asarray(upright))
            assert error.mean() < 5, (form, number)
        deep = np.asarray(stored).astype(np.uint16) * 257
        tag = [(274, "H", 1, number, True)]
        frame = decode(tiff(deep, photometric="rgb", extratags=tag)).frames[0]
        assert np.array_equal(frame.colour, np.asarray(upright).astype(np.uint16) * 257)


def test_the_orientation_of_16_bit_png_is_applied() -> None:
    levels = noise((4, 6, 3))
    data = imagecodecs.png_encode(levels)
    block = chunk(b"eXIf", exif(6, ">").removeprefix(b"Exif\0\0"))
    frame = decode(data[:33] + block + data[33:]).frames[0]
    assert np.array_equal(frame.colour, np.rot90(levels, -1))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "block",
    [
        *[exif(number) for number in (0, 9, 65535)],
        exif(6, kind=4),
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        # A directory that is its own sub-directory and successor.
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    ],
    ids=repr,
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_odd_or_corrupt_exif_is_as_none(block: bytes, form: str) -> None:
    started = time.process_time()
    image = decode(saved(photo(), form, exif=block))
    assert time.process_time() - started < 0.1
    assert image.size == (60, 40)


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """A minimal ICC profile of version 2."""
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + d50} | tags
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s12x4s28x12s48x", 132 + len(table) + len(body) - 4, b"test",
                       0x02100000, kind, space, pcs, b"acsp", d50)  # fmt: skip
    return head + table + body


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def rgb_profile(padding: int = 0) -> bytes:
    """Display P3 with gamma 2.2."""
    tags = {
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        **{name: curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    return profile(b"RGB ", tags | ({b"test": bytes(padding)} if padding else {}))


GREY_PROFILE = profile(b"GRAY", {b"kTRC": curve(1.0)})


def cmyk_profile() -> bytes:
    """Every ink darkens alike, so that all colours come out grey."""
    corners = [
        (round(255 * (1 - k) * (1 - (c + m + y) / 3)), 128, 128)
        for c in (0, 1)
        for m in (0, 1)
        for y in (0, 1)
        for k in (0, 1)
    ]
    identity = struct.pack(">9i", *[65536 if i % 4 == 0 else 0 for i in range(9)])
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity
    table += (
        bytes(range(256)) * 4 + bytes(v for lab in corners for v in lab) + bytes(range(256)) * 3
    )
    return profile(b"CMYK", {b"A2B0": table}, b"Lab ")


@pytest.mark.parametrize(
    ("form", "mode", "icc"),
    [
        *[(form, "RGB", rgb_profile()) for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")],
        *[(form, "L", GREY_PROFILE) for form in ("PNG", "JPEG", "TIFF", "AVIF")],
    ],
)
def test_a_profile_that_fits_is_kept(form: str, mode: str, icc: bytes) -> None:
    assert decode(saved(photo(mode=mode), form, icc_profile=icc)).icc == icc


@pytest.mark.parametrize(
    ("mode", "icc"),
    [
        ("RGB", GREY_PROFILE),
        ("L", rgb_profile()),
        ("RGB", cmyk_profile()),
        ("RGB", b"no profile"),
        ("RGB", rgb_profile()[:200]),
        ("RGB", rgb_profile()[:128] + bytes(300)),
        ("CMYK", b"no profile"),
        ("CMYK", rgb_profile()),
    ],
)
def test_a_profile_that_does_not_fit_or_is_corrupt_is_ignored(mode: str, icc: bytes) -> None:
    picture = photo(mode=mode)
    image = decode(saved(picture, "TIFF", icc_profile=icc))
    assert image.icc is None
    expected = np.asarray(picture if mode == "L" else picture.convert("RGB")).reshape(40, 60, -1)
    assert np.array_equal(image.frames[0].colour, expected)


def test_cmyk_goes_through_its_profile() -> None:
    image = decode(saved(photo(mode="CMYK"), "TIFF", icc_profile=cmyk_profile()))
    assert image.icc is None
    assert np.ptp(image.frames[0].colour.astype(int), axis=2).max() <= 2


def test_a_profile_of_5_mb_is_applied_and_dropped() -> None:
    image = decode(saved(photo(), "JPEG", quality=100, icc_profile=rgb_profile(5 * 2**20)))
    kept = decode(saved(photo(), "JPEG", quality=100, icc_profile=rgb_profile()))
    assert image.icc is None
    assert kept.icc is not None
    converted = ImageCms.profileToProfile(
        Pillow.fromarray(kept.frames[0].colour), io.BytesIO(rgb_profile()), io.BytesIO(SRGB)
    )
    assert converted is not None
    error = np.abs(image.frames[0].colour.astype(int) - np.asarray(converted))
    assert error.max() <= 2
    assert not np.array_equal(image.frames[0].colour, kept.frames[0].colour)


# Animations and pages


@pytest.mark.parametrize(
    ("form", "options", "loop"),
    [
        ("GIF", {"loop": 0}, 0),
        ("GIF", {"loop": 2}, 3),
        ("GIF", {}, 1),
        ("PNG", {"loop": 3}, 3),
        ("PNG", {"loop": 0}, 0),
        ("WEBP", {"loop": 3}, 3),
        ("AVIF", {}, 0),
    ],
)
def test_every_frame_of_an_animation_is_read_with_its_time(
    form: str, options: dict[str, Any], loop: int
) -> None:
    image = decode(animation(form, duration=[50, 100, 150, 200], **options))
    assert [frame.milliseconds for frame in image.frames] == [50, 100, 150, 200]
    assert image.loop == loop
    assert image.frames_dropped == 0
    for index, frame in enumerate(image.frames):
        expected = np.asarray(photo().rotate(20 * index)).astype(int)
        assert np.abs(frame.colour - expected).mean() < 14


def test_partial_frames_are_composed() -> None:
    first = Pillow.new("RGB", (20, 20), "red")
    second = first.copy()
    second.paste("blue", (5, 5, 10, 10))
    data = saved(first, "GIF", save_all=True, append_images=[second], duration=10)
    frames = decode(data).frames
    assert frames[1].colour[7, 7].tolist() == [0, 0, 255]
    assert frames[1].colour[0, 0].tolist() == [255, 0, 0]


def test_frames_of_several_kinds_are_made_alike() -> None:
    pages = [photo(mode="1"), photo(mode="RGB"), photo(mode="LA")]
    image = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert [frame.channels for frame in image.frames] == [4, 4, 4]


def test_the_stand_in_of_an_animated_png_is_no_frame() -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("black", "red", "blue")]
    data = saved(frames[0], "PNG", save_all=True, default_image=True, append_images=frames[1:])
    image = decode(data)
    assert [frame.colour[0, 0].tolist() for frame in image.frames] == [[255, 0, 0], [0, 0, 255]]


def test_pages_of_one_size_are_frames_and_16_bits_stay() -> None:
    levels = noise((3, 9, 12, 3))
    image = decode(tiff(levels, photometric="rgb"))
    assert image.frames_dropped == 0
    for frame, page in zip(image.frames, levels, strict=True):
        assert np.array_equal(frame.colour, page)


def test_of_pages_of_several_sizes_the_first_is_read() -> None:
    pages = [photo(30, 20), photo(30, 20), photo(8, 9)]
    image = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert len(image.frames) == 1
    assert image.frames_dropped == 2
    assert np.array_equal(image.frames[0].colour, np.asarray(pages[0]))


# All of it


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)]
)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_pure_colours_keep_their_hue(form: str, colour: tuple[int, int, int]) -> None:
    frame = decode(saved(Pillow.new("RGB", (16, 16), colour), form)).frames[0]
    assert np.abs(frame.colour.astype(int) - colour).max() <= 4


def test_many_threads_decode_the_same_pictures() -> None:
    files = [
        JPEG,
        PNG,
        animation("GIF"),
        animation("WEBP"),
        imagecodecs.png_encode(noise((9, 9, 3))),
    ]
    expected = [decode(data).frames[-1].colour for data in files]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(decode, files * 8))
    for index, image in enumerate(made):
        assert np.array_equal(image.frames[-1].colour, expected[index % len(files)])


def test_no_second_copy_of_the_pixels_is_made() -> None:
    data = saved(photo(3000, 2000), "JPEG")
    tracemalloc.start()
    try:
        decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * 3000 * 2000 * 3  # Pillow's own are not counted


PHOTOS: dict[str, tuple[tuple[int, int], int, int]] = {  # size, channels, bits
    "bilevel_1bit.png": ((321, 481), 1, 8),
    "exif_orientation6.jpg": ((321, 481), 3, 8),
    "gray16.png": ((481, 321), 1, 16),
    "gray8.png": ((481, 321), 1, 8),
    "odd_size_201x133.webp": ((201, 133), 3, 8),
    "one_pixel.png": ((1, 1), 3, 8),
    "palette.gif": ((481, 321), 3, 8),
    "palette_transparent.png": ((160, 107), 4, 8),
    "realesrgan_children_alpha.png": ((566, 350), 4, 8),
    "rgb16.png": ((481, 321), 3, 16),
    "rgba.png": ((481, 321), 4, 8),
    "tiny_7x5.png": ((7, 5), 3, 8),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_real_photos_are_read(shared_data: Path, name: str) -> None:
    image = decode((shared_data / "photos" / name).read_bytes())
    frame = image.frames[0]
    assert (image.size, frame.channels, frame.bit_depth) == PHOTOS[name]
    assert frame.colour.flags.c_contiguous
    assert frame.colour.flags.writeable


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    starts: list[Callable[[bytes], bytes]] = [lambda d: d, lambda d: PNG[:33] + d]
    starts += [lambda d: JPEG[:200] + d, lambda d: b"GIF89a" + d, lambda d: b"II*\0\x08\0\0\0" + d]
    for start in starts:
        try:
            decode(start(data), Limits(max_pixels=10_000))
        except Refused:
            continue
