import io
import struct
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from superres.codecs.decode import decode
from superres.codecs.encode import FORMATS, encode
from superres.image.frame import Frame, Image
from tests.superres.codecs.frames import (
    AVIF,
    BMP,
    GIF,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    frame,
    levels,
    opened,
    smooth,
    still,
)


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC profile of version 2."""
    tags = {b"wtpt": xyz(0.9642, 1, 0.8249)} | tags
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12x4s28x12s48x", size, b"test", 0x02100000, b"mntr", space,
                       b"XYZ ", b"acsp", xyz(0.9642, 1, 0.8249)[8:])  # fmt: skip
    return head + table + body


P3 = profile(
    b"RGB ",
    {
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        **{name: curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")},
    },
)
LINEAR_GREY = profile(b"GRAY", {b"kTRC": curve(1.0)})


@pytest.mark.parametrize("form", [PNG, JPEG, WEBP, TIFF, AVIF])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_profile_is_embedded_where_there_is_a_place(form: Any, depth: type) -> None:
    data = encode(still(frame(depth=depth), icc=P3), form).data
    assert opened(data).info["icc_profile"] == P3
    assert decode(data).icc == P3


@pytest.mark.parametrize("form", [PNG, JPEG, TIFF, AVIF])
def test_a_grey_profile_is_embedded_in_a_grey_file(form: Any) -> None:
    assert decode(encode(still(frame(channels=1), icc=LINEAR_GREY), form).data).icc == LINEAR_GREY


@pytest.mark.parametrize("form", [BMP, GIF])
def test_colours_become_srgb_where_a_profile_has_no_place(form: Any) -> None:
    colour = levels(20, 30, 3) // 64 * 85
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(Pillow.fromarray(colour), io.BytesIO(P3), srgb)
    assert converted is not None
    back = decode(encode(still(Frame(colour), icc=P3), form).data)
    assert back.icc is None
    assert np.abs(back.frames[0].colour.astype(int) - np.asarray(converted)).max() <= 1
    assert not np.array_equal(back.frames[0].colour, colour)


@pytest.mark.parametrize("form", [BMP, GIF, WEBP])
def test_grey_levels_become_srgb_where_a_grey_profile_has_no_place(form: Any) -> None:
    linear = Frame(np.full((16, 16, 1), 55, np.uint8))  # 0.2157, in sRGB 0.5019
    back = decode(encode(still(linear, icc=LINEAR_GREY), form).data).frames[0]
    assert np.abs(back.colour.astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    ("channels", "icc"), [(1, P3), (3, LINEAR_GREY), (3, b"corrupt"), (3, P3[:150]), (1, b"")]
)
@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_a_profile_that_does_not_fit_breaks_no_file(form: Any, channels: int, icc: bytes) -> None:
    made = Frame(smooth()[..., :channels])
    data = encode(still(made, icc=icc), form).data
    assert "icc_profile" not in opened(data).info
    assert data == encode(still(made), form).data


def exif() -> bytes:
    made = Pillow.Exif()
    made[0x010F], made[0x0112], made[0x013B] = "Maker", 6, "Artist"
    made.get_ifd(0x8769).update({0x9003: "2020:02:03 04:05:06", 0xA002: 9, 0xA003: 9})
    made.get_ifd(0x8769)[0x927C] = b"preview in maker notes"
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return made.tobytes()


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Title">'
    b"<tiff:Orientation>6</tiff:Orientation><xmp:Thumbnails>thumb\nnail</xmp:Thumbnails>"
    b"</rdf:Description></x:xmpmeta>"
)


@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_no_metadata_leaves_by_default(form: Any) -> None:
    data = encode(still(Frame(smooth()), exif=exif(), xmp=XMP), form).data
    picture = opened(data)
    assert not set(picture.info) & {"exif", "xmp", "XML:com.adobe.xmp", "comment", "photoshop"}
    assert picture.getexif().get_ifd(0x8825) == {}
    assert b"Maker" not in data
    assert data == encode(still(Frame(smooth())), form).data


@pytest.mark.parametrize("form", [PNG, JPEG, WEBP, TIFF, AVIF], ids=lambda form: form.name)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_metadata_travels_on_request_without_orientation_and_thumbnails(
    form: Any, depth: type
) -> None:
    image = still(frame(30, 20, depth=depth), exif=exif(), xmp=XMP, icc=P3)
    data = encode(image, form, keep_metadata=True).data
    picture = opened(data)
    found = picture.getexif()
    assert found[0x010F] == "Maker"
    assert found[0x013B] == "Artist"
    assert 0x0112 not in found
    camera = found.get_ifd(0x8769)
    assert camera[0x9003] == "2020:02:03 04:05:06"
    assert (camera[0xA002], camera[0xA003]) == (30, 20)
    assert found.get_ifd(0x8825)[1] == "N"
    assert tuple(map(float, found.get_ifd(0x8825)[2])) == (52, 30, 0)
    assert b"preview" not in data
    assert b"nail" not in data
    xmp = picture.info["xmp"]
    assert b'dc:title="Title"' in xmp
    assert b"Orientation" not in xmp
    back = decode(data)
    assert back.size == (30, 20)
    assert back.icc == P3
    assert np.abs(back.frames[0].colour.mean() / back.frames[0].white - 0.5) < 0.05


def test_metadata_of_every_format_survives_every_other() -> None:
    image = still(frame(), exif=exif(), xmp=XMP)
    kept = [form for form in FORMATS.values() if form.metadata]
    for first in kept:
        carried = decode(encode(image, first, keep_metadata=True).data)
        for second in kept:
            data = encode(carried, second, keep_metadata=True).data
            found = opened(data).getexif()
            assert found[0x010F] == "Maker", (first.name, second.name)
            assert found.get_ifd(0x8825)[1] == "N", (first.name, second.name)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"garbage",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        exif()[:60],
    ],
    ids=repr,
)
@pytest.mark.parametrize("form", [PNG, JPEG, WEBP, TIFF, AVIF], ids=lambda form: form.name)
def test_corrupt_metadata_is_left_out(form: Any, block: bytes) -> None:
    data = encode(still(frame(), exif=block, xmp=bytes(100_000)), form, keep_metadata=True).data
    assert decode(data).size == (30, 20)
    assert 0x0112 not in opened(data).getexif()


def test_metadata_too_long_for_a_jpeg_segment_is_left_out() -> None:
    made = Pillow.Exif()
    made[0x010E] = "x" * 70_000
    data = encode(still(frame(), exif=made.tobytes()), JPEG, keep_metadata=True).data
    assert "exif" not in opened(data).info


def film(frames: int = 4, channels: int = 3, **options: Any) -> Image:
    made = [frame(channels=channels, seed=i, milliseconds=50 * i + 50) for i in range(frames)]
    if channels == 4:
        made = [replace(f, alpha=(f.alpha > 99).astype(np.uint8) * 255) for f in made]  # type: ignore[operator]
    return Image(tuple(made), "gif", **options)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("loop", [0, 1, 2, 5])
@pytest.mark.parametrize("form", [PNG, WEBP, GIF], ids=lambda form: form.name)
def test_animations_keep_frames_times_and_repetitions(form: Any, loop: int, channels: int) -> None:
    image = film(channels=channels, loop=loop)
    encoded = encode(image, form)
    assert (encoded.frames, encoded.frames_dropped) == (4, 0)
    back = decode(encoded.data)
    assert [f.milliseconds for f in back.frames] == [50, 100, 150, 200]
    assert back.loop == loop
    if form is PNG:
        for made, frame_ in zip(back.frames, image.frames, strict=True):
            assert np.array_equal(made.rows(0, 20), frame_.rows(0, 20))


def test_animated_avif_keeps_frames_and_times() -> None:
    back = decode(encode(film(), AVIF).data)
    assert [f.milliseconds for f in back.frames] == [50, 100, 150, 200]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_transparent_gif_frames_replace_one_another(channels: int) -> None:
    image = film(channels=channels)
    flat = [replace(f, colour=f.colour // 64 * 85) for f in image.frames]
    back = decode(encode(replace(image, frames=tuple(flat)), GIF).data)
    for made, expected in zip(back.frames, flat, strict=True):
        if expected.alpha is None:
            assert np.array_equal(made.colour, np.broadcast_to(expected.colour, made.colour.shape))
        else:
            assert made.alpha is not None
            assert np.array_equal(made.alpha, expected.alpha)
            seen = expected.alpha > 0
            assert np.array_equal(made.colour[seen], expected.colour[seen])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("form", [PNG, TIFF], ids=lambda form: form.name)
def test_pages_are_exact(form: Any, depth: type) -> None:
    frames = tuple(frame(7, 5, 4, depth, seed) for seed in range(3))
    data = encode(Image(frames, "tiff"), form).data
    if form is TIFF:
        back = [f.rows(0, 5) for f in decode(data).frames]
    else:
        back = list(imagecodecs.apng_decode(data))
    for made, expected in zip(back, frames, strict=True):
        assert np.array_equal(made, expected.rows(0, 5))


@pytest.mark.parametrize("form", [JPEG, BMP], ids=lambda form: form.name)
def test_a_format_without_frames_takes_the_first_and_says_so(form: Any) -> None:
    encoded = encode(film(frames_dropped=2), form)
    assert (encoded.frames, encoded.frames_dropped) == (1, 5)
    back = decode(encode(film(), BMP).data)
    assert np.array_equal(back.frames[0].colour, film().frames[0].colour)


def test_times_beyond_a_minute_fit_an_animated_png() -> None:
    frames = tuple(frame(seed=i, milliseconds=ms) for i, ms in enumerate((0, 70_000, 65_535)))
    back = decode(encode(Image(frames, "png"), PNG).data)
    assert [f.milliseconds for f in back.frames] == [0, 70_000, 65_535]


# Speed, memory, threads


def test_png_is_written_in_a_fraction_of_pillows_time() -> None:
    colour = np.asarray(Pillow.fromarray(levels(150, 200, 3)).resize((1200, 900)))
    started = time.thread_time()
    ours = encode(still(Frame(colour)), PNG).data
    took = time.thread_time() - started
    out = io.BytesIO()
    started = time.thread_time()
    Pillow.fromarray(colour).save(out, "png")
    assert took * 5 < time.thread_time() - started
    assert len(ours) < 1.25 * len(out.getvalue())


@pytest.mark.parametrize("form", [PNG, TIFF], ids=lambda form: form.name)
@pytest.mark.parametrize("channels", [3, 4])
def test_encoding_makes_no_copy_of_the_picture(form: Any, channels: int) -> None:
    image = still(Frame(np.zeros((3000, 4000, 3), np.uint8)))
    if channels == 4:
        image = still(replace(image.frames[0], alpha=np.zeros((3000, 4000), np.uint8)))
    tracemalloc.start()
    try:
        encode(image, form)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20  # of 36 or 48 MB


def test_many_threads_encode_the_same_bytes() -> None:
    # An animated AVIF file holds the time of day, a still one does not.
    jobs = [(film(1 if form is AVIF else 4), form) for form in FORMATS.values()]
    expected = [encode(*job).data for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda job: encode(*job).data, jobs * 4))
    assert made == expected * 4


@pytest.mark.parametrize(
    "name",
    [
        "bilevel_1bit.png",
        "cmyk.jpg",
        "gray16.png",
        "palette_transparent.png",
        "rgb16.png",
        "rgba.png",
    ],
)
def test_real_photos_return_from_lossless_formats(shared_data: Path, name: str) -> None:
    image = decode((shared_data / "photos" / name).read_bytes())
    for form in (PNG, TIFF):
        back = decode(encode(image, form).data)
        assert np.array_equal(
            back.frames[0].rows(0, image.size.height), image.frames[0].rows(0, image.size.height)
        )
    for form in (JPEG, WEBP, AVIF):
        back = decode(encode(image, form).data)
        assert back.size == image.size
