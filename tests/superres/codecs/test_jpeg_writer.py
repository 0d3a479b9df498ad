import io
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from superres.codecs import jpeg_writer
from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream


def levels(height: int, width: int, channels: int) -> Any:
    """A soft image with some noise."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = 120 + 70 * np.sin(x / 9) * np.cos(y / 7)
    noise = np.random.default_rng(height).normal(0, 9, (height, width, channels))
    return np.clip(waves[..., None] + noise + 20 * np.arange(channels), 0, 255).astype(np.uint8)


def ours(pixels: Any, quality: int, **extras: Any) -> bytes:
    return jpeg_writer.write_jpeg(
        FrameStream.of(Frame(pixels)), quality, extras, lambda frame: frame
    )


def pillows(pixels: Any, quality: int, **extras: Any) -> bytes:
    out = io.BytesIO()
    picture = Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    subsampling = 0 if quality >= jpeg_writer.FULL_COLOUR else 2
    picture.save(out, "jpeg", quality=quality, subsampling=subsampling, **extras)
    return out.getvalue()


def opened(data: bytes) -> Any:
    return np.asarray(Pillow.open(io.BytesIO(data)))


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of what comes before the coded pixels."""
    at = 2
    while True:
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xDA:
            return
        at += 2 + length


def restarts(data: bytes) -> list[int]:
    coded = bytes(jpeg_writer.scan(data))
    marks = [second for first, second in pairwise(coded) if first == 0xFF]
    return [mark - 0xD0 for mark in marks if 0xD0 <= mark < 0xD8]


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of one row of units, so that small images have many."""
    monkeypatch.setattr(jpeg_writer, "STRIP", 1)


@given(st.integers(1, 100), st.integers(1, 100), st.sampled_from([1, 3]), st.integers(0, 100))
@settings(max_examples=60)
def test_a_picture_of_one_strip_is_pillows_file(w: int, h: int, channels: int, q: int) -> None:
    pixels = levels(h, w, channels)
    assert ours(pixels, q) == pillows(pixels, q)


@pytest.mark.parametrize("quality", [30, 89, 90, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 200), (200, 1), (8, 64), (17, 33), (16, 16), (31, 150), (64, 17), (100, 161)],
)
@pytest.mark.usefixtures("small_strips")
def test_strips_are_read_as_pillows_whole_file(
    width: int, height: int, channels: int, quality: int
) -> None:
    pixels = levels(height, width, channels)
    made, expected = ours(pixels, quality), pillows(pixels, quality)
    assert np.array_equal(opened(made), opened(expected))
    read = imagecodecs.jpeg8_decode
    assert np.array_equal(read(made), read(expected))
    seen, known = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        for data in (made, expected)
    )
    assert np.array_equal(seen, known)


@pytest.mark.usefixtures("small_strips")
def test_restart_markers_count_to_7_and_begin_again() -> None:
    data = ours(levels(8 * 21, 20, 3), 95)
    assert restarts(data) == [number % 8 for number in range(20)]
    assert dict(segments(data))[0xDD] == struct.pack(">H", 3)


def test_a_file_without_strips_has_no_restart_markers() -> None:
    data = ours(levels(100, 100, 3), 95)
    assert 0xDD not in dict(segments(data))
    assert not restarts(data)


@pytest.mark.parametrize(("width", "height"), [(65_500, 40), (12, 65_500)])
@pytest.mark.parametrize("quality", [80, 95])
def test_the_largest_sides_are_written(width: int, height: int, quality: int) -> None:
    pixels = np.broadcast_to(levels(1, width, 3), (height, width, 3)).copy()
    data = ours(pixels, quality)
    assert np.array_equal(opened(data), opened(pillows(pixels, quality)))


@given(st.integers(1, 65_500), st.integers(1, 65_500), st.booleans(), st.integers(0, 100))
def test_every_layout_is_within_the_format(w: int, h: int, grey: bool, quality: int) -> None:
    frame = FrameStream(Size(w, h), 1 if grey else 3, 8, ())
    made = jpeg_writer.layout(frame, quality)
    assert made.rows >= made.unit
    assert made.rows % made.unit == 0
    assert 0 <= made.interval <= 65_535
    assert bool(made.interval) == (made.rows < h)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("channels", [1, 3])
def test_all_that_is_not_pixels_is_as_pillow_writes_it(channels: int) -> None:
    extras = {"icc_profile": bytes(range(256)) * 300, "exif": b"Exif\0\0MM\0*", "xmp": b"<x/>"}
    pixels = levels(100, 70, channels)
    made = [s for s in segments(ours(pixels, 85, **extras)) if s[0] != 0xDD]
    assert made == list(segments(pillows(pixels, 85, **extras)))


def test_strips_may_have_any_heights() -> None:
    pixels = levels(700, 900, 3)
    frame = Frame(pixels)
    parts = [frame.band(top, top + 33) for top in range(0, 700, 33)]
    scroll = FrameStream(frame.size, 3, 8, iter(parts))
    assert jpeg_writer.write_jpeg(scroll, 95, {}, lambda strip: strip) == ours(pixels, 95)
