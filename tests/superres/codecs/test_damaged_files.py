"""Rows of the test matrix of inputs: damaged, hostile, odd and plain image files."""

import base64
import resource
import struct
import time
import zlib

import imagecodecs
import numpy as np
import pytest

from superres.codecs.decode import Limits, decode
from superres.errors import BadImage, Refused, TooLarge
from tests.superres.codecs.files import (
    JPEG,
    PNG,
    animation,
    chunk,
    noise,
    pages,
    photo,
    png,
    refused,
    saved,
    tiff,
)


def flat_png(width: int, height: int) -> bytes:
    """Grey 0: 14000² take 200 MB in memory and 200 kB here."""
    packer = zlib.compressobj(1)
    rows = bytes((width + 1) * 100)
    data = b"".join(packer.compress(rows) for _ in range(height // 100))
    data += packer.compress(bytes((width + 1) * (height % 100))) + packer.flush()
    return png(width, height, (8, 0), chunk(b"IDAT", data), chunk(b"IEND", b""))


def after(data: bytes, mark: bytes, change: int) -> bytes:
    """`data` with one byte flipped, `change` bytes after `mark`."""
    at = data.index(mark) + change
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


PROGRESSIVE = saved(photo(300, 200), "JPEG", progressive=True)


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
            assert error.code  # noqa: PT017 - either an image or a refusal
        else:
            assert image.size.pixels <= 100_000


@pytest.mark.parametrize(
    "data",
    [
        flat_png(14_000, 14_000),
        png(2**31 - 1, 2**31 - 1),
        png(2**31 - 1, 1),
        b"BM" + struct.pack("<IIIIiiHH24x", 54, 0, 54, 40, 30_000, 30_000, 1, 24),
        b"P6 30000 30000 255\n" + bytes(100),
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\0",
        # A frame that sticks out of a small image.
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
