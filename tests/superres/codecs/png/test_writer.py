import io
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow

from superres.codecs.png import writer
from superres.codecs.png.chunks import SIGNATURE, find_damage
from superres.codecs.png.writer import PngMetadata, write_png
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream

LEVELS = range(10)


def photo(height: int = 300, width: int = 400) -> Any:
    """What an enlarged photo looks like: soft, with some noise."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 6, width // 6, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def drawing(height: int = 300, width: int = 400) -> Any:
    made = np.full((height, width, 3), 240, np.uint8)
    for row in range(20, height, 60):
        cv2.putText(made, "The same text", (5, row), 0, 1, (20, 40, 200), 2, cv2.LINE_AA)
    return made


def noise(channels: int, depth: type, height: int = 40, width: int = 30) -> Frame:
    top = int(np.iinfo(depth).max) + 1
    made = np.random.default_rng(1).integers(0, top, (height, width, channels), depth)
    if channels in (1, 3):
        return Frame(made)
    return Frame(made[..., :-1], made[..., -1])


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows, so that small images have many."""
    monkeypatch.setattr(writer, "STRIP", 700)


@pytest.mark.parametrize("compression", LEVELS)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.usefixtures("small_strips")
def test_every_level_keeps_every_pixel(channels: int, depth: type, compression: int) -> None:
    frame = noise(channels, depth)
    data = write_png([FrameStream.of(frame)], PngMetadata(), compression=compression)
    expected = frame.rows(0, 40)
    assert np.array_equal(imagecodecs.png_decode(data).reshape(expected.shape), expected)
    if depth is np.uint8:
        picture = Pillow.open(io.BytesIO(data))
        assert np.array_equal(np.asarray(picture).reshape(expected.shape), expected)
    assert find_damage(data, 100) is None


@pytest.mark.usefixtures("small_strips")
def test_the_strips_are_one_zlib_stream_with_the_right_checksum() -> None:
    data = write_png([FrameStream.of(noise(3, np.uint8))], PngMetadata())
    parts = [content for kind, content in chunks(data) if kind == b"IDAT"]
    assert len(parts) > 5
    assert len(zlib.decompress(b"".join(parts))) == 40 * (1 + 90)


@pytest.mark.parametrize("picture", [photo(), drawing()], ids=["photo", "drawing"])
def test_a_higher_level_is_not_larger_and_the_highest_the_smallest(picture: Any) -> None:
    sizes = [
        len(write_png([FrameStream.of(Frame(picture))], PngMetadata(), compression=level))
        for level in LEVELS
    ]
    # Levels 1 to 3 choose filters by rule of thumb, which a drawing may defeat by a few bytes.
    assert all(more >= less * 0.97 for more, less in pairwise(sizes))
    assert sizes[9] < 0.9 * sizes[1] < 0.9 * sizes[0]


def test_level_0_does_not_compress() -> None:
    data = write_png(
        [FrameStream.of(Frame(np.zeros((50, 60, 3), np.uint8)))], PngMetadata(), compression=0
    )
    assert len(data) > 50 * 60 * 3


@pytest.mark.parametrize("compression", LEVELS)
def test_strips_of_any_heights_make_the_same_file(compression: int) -> None:
    frame = Frame(photo(), photo()[..., 0])
    strips = [frame.band(top, top + 37) for top in range(0, 300, 37)]
    scroll = FrameStream(frame.size, 4, 8, iter(strips))
    made = write_png([scroll], PngMetadata(), compression=compression)
    assert made == write_png([FrameStream.of(frame)], PngMetadata(), compression=compression)
