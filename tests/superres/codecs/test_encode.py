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
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from superres.codecs.decode import decode
from superres.codecs.encode import FORMATS, encode, find_format
from superres.errors import BadOption
from superres.image.frame import Frame, Image

PNG, JPEG, WEBP, TIFF, BMP, GIF, AVIF = (
    FORMATS[name] for name in ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")
)


def levels(height: int, width: int, channels: int, depth: type = np.uint8, seed: int = 0) -> Any:
    top = int(np.iinfo(depth).max) + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), depth)


def frame(
    width: int = 30,
    height: int = 20,
    channels: int = 3,
    depth: type = np.uint8,
    seed: int = 0,
    milliseconds: int = 0,
) -> Frame:
    """Noise with `channels` 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    made = levels(height, width, channels, depth, seed)
    colours = 1 if channels < 3 else 3
    alpha = np.ascontiguousarray(made[..., -1]) if channels in (2, 4) else None
    return Frame(np.ascontiguousarray(made[..., :colours]), alpha, milliseconds)


def smooth(width: int = 60, height: int = 40) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    made = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    return made.astype(np.uint8)


def still(made: Frame, **options: Any) -> Image:
    return Image((made,), "png", **options)


def opened(data: bytes) -> Pillow.Image:
    picture = Pillow.open(io.BytesIO(data))
    picture.load()
    return picture


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


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("png", "png"),
        ("PNG", "png"),
        (".png", "png"),
        (" .Jpg ", "jpeg"),
        ("jpeg", "jpeg"),
        ("jfif", "jpeg"),
        ("tif", "tiff"),
        ("TIFF", "tiff"),
        ("webp", "webp"),
        ("bmp", "bmp"),
        ("gif", "gif"),
        ("avif", "avif"),
    ],
)
def test_a_format_has_many_names(name: str, expected: str) -> None:
    assert find_format(name).name == expected


@pytest.mark.parametrize(
    "name", ["exe", "", ".", "..png", "png\0", "image/png", 1, None, ["png"], b"png", 1.5]
)
def test_an_unknown_format_is_refused_with_those_that_are_known(name: object) -> None:
    with pytest.raises(BadOption) as caught:
        find_format(name)
    assert caught.value.option == "image_format"
    assert caught.value.allowed == "one of png, jpeg, webp, tiff, bmp, gif, avif"


def test_mime_types_are_those_that_are_registered() -> None:
    for name, made in FORMATS.items():
        assert made.mime_type == Pillow.MIME[name.upper()]


# Round trips


@settings(max_examples=120)
@given(
    st.sampled_from([PNG, TIFF]),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 2**32),
)
def test_lossless_formats_return_every_level(
    form: Any, channels: int, depth: type, width: int, height: int, seed: int
) -> None:
    made = frame(width, height, channels, depth, seed)
    encoded = encode(still(made), form)
    assert encoded.bit_depth == made.bit_depth
    assert encoded.data.startswith((b"\x89PNG", b"II*"))
    back = decode(encoded.data).frames[0]
    pixels = made.rows(0, height)
    if form is TIFF and channels == 2 and depth is np.uint16:
        pixels = pixels[..., [0, 0, 0, 1]]  # which Pillow reads
    assert np.array_equal(back.rows(0, height), pixels)
    opened(encoded.data)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (900, 700)])
def test_other_readers_see_the_same_pixels(
    channels: int, depth: type, size: tuple[int, int]
) -> None:
    made = frame(*size, channels, depth)
    pixels = made.rows(0, size[1])
    pixels = pixels[..., 0] if channels == 1 else pixels
    data = encode(still(made), PNG).data
    assert np.array_equal(imagecodecs.png_decode(data), pixels)
    if depth is np.uint8 or channels == 1:
        assert np.array_equal(np.asarray(opened(data)), pixels)
    grown = pixels[..., [0, 0, 0, 1]] if channels == 2 and depth is np.uint16 else pixels
    data = encode(still(made), TIFF).data
    assert np.array_equal(tifffile.imread(io.BytesIO(data)), grown)
    if depth is np.uint8 or channels == 1:
        assert np.array_equal(np.asarray(opened(data)), grown)


@settings(max_examples=40)
@given(
    st.sampled_from(list(FORMATS.values())),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 33),
    st.integers(1, 33),
)
def test_every_format_holds_every_kind_of_picture(
    form: Any, channels: int, depth: type, width: int, height: int
) -> None:
    made = frame(width, height, channels, depth)
    encoded = encode(still(made), form)
    back = decode(encoded.data)
    assert (encoded.format, encoded.mime_type) == (form.name, form.mime_type)
    assert (encoded.frames, encoded.frames_dropped) == (1, 0)
    assert encoded.bit_depth == (made.bit_depth if form.depth16 else 8)
    assert back.size == made.size
    assert back.format == form.name
    assert (back.frames[0].alpha is None) or made.alpha is not None
    if made.alpha is None and channels == 1 and form.grey:
        assert back.frames[0].channels == 1


@pytest.mark.parametrize("form", [JPEG, WEBP, AVIF])
def test_lossy_formats_stay_close(form: Any) -> None:
    made = Frame(smooth())
    back = decode(encode(still(made), form, 95).data).frames[0]
    assert np.abs(back.colour.astype(int) - made.colour).mean() < 3


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_pure_colours_keep_their_hue(form: Any, colour: tuple[int, int, int]) -> None:
    made = Frame(np.broadcast_to(np.array(colour, np.uint8), (16, 16, 3)).copy())
    back = np.asarray(opened(encode(still(made), form).data).convert("RGB"))
    assert np.abs(back.astype(int) - colour).max() <= 4


def test_few_colours_are_exact_in_gif_and_a_transparent_one_too() -> None:
    colour = levels(20, 30, 3) // 64 * 85
    alpha = (levels(20, 30, 1)[..., 0] > 127).astype(np.uint8) * 255
    back = decode(encode(still(Frame(colour)), GIF).data).frames[0]
    assert np.array_equal(back.colour, colour)
    back = decode(encode(still(Frame(colour, alpha)), GIF).data).frames[0]
    assert back.alpha is not None
    assert np.array_equal(back.alpha, alpha)
    assert np.array_equal(back.colour[alpha > 0], colour[alpha > 0])


def test_equal_pictures_give_equal_bytes() -> None:
    for form in FORMATS.values():
        made = [encode(still(Frame(smooth())), form).data for _ in range(3)]
        assert made[0] == made[1] == made[2]


# What a format cannot hold


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_laid_on_white_only_where_there_is_none(channels: int, depth: type) -> None:
    made = frame(channels=channels, depth=depth)
    assert made.alpha is not None
    opacity = made.alpha[..., None] / made.white
    expected = (made.colour / made.white * opacity + 1 - opacity) * 255
    back = np.asarray(opened(encode(still(made), BMP).data)).reshape(expected.shape)
    assert np.abs(back - expected).max() <= (0.51 if depth is np.uint8 else 0.52)
    for form in (PNG, WEBP, TIFF, GIF, AVIF):
        assert decode(encode(still(made), form).data).frames[0].alpha is not None


def test_every_16_bit_level_is_rounded_to_the_nearest_of_8() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    encoded = encode(still(Frame(every)), BMP)
    assert encoded.bit_depth == 8
    expected = np.rint(every[..., 0] / 257)
    assert np.array_equal(np.asarray(opened(encoded.data)), expected)


@pytest.mark.parametrize(
    ("form", "side"), [(JPEG, 65_500), (WEBP, 16_383), (GIF, 65_535), (AVIF, 32_768)]
)
def test_the_largest_side_of_a_format_is_exact_and_others_are_named(form: Any, side: int) -> None:
    widest = Frame(np.zeros((1, side, 1), np.uint8))
    assert decode(encode(still(widest), form).data).size == (side, 1)
    with pytest.raises(BadOption) as caught:
        encode(still(Frame(np.zeros((side + 1, 1, 1), np.uint8))), form)
    assert caught.value.option == "image_format"
    assert form.name in str(caught.value)
    assert str(side) in str(caught.value)
    able = str(caught.value).split("one of ")[1].split(", ")
    assert able == [f.name for f in FORMATS.values() if f.largest_side > side]


# Quality


@pytest.mark.parametrize("form", [JPEG, WEBP, AVIF])
def test_files_grow_with_quality_and_every_quality_is_valid(form: Any) -> None:
    image = still(Frame(smooth(200, 150) // 2 + levels(150, 200, 3) // 4))
    sizes = [len(encode(image, form, quality).data) for quality in (0, 10, 50, 95, 100)]
    assert sizes == sorted(sizes)
    assert len(set(sizes[1:4])) == 3


def test_quality_changes_nothing_where_nothing_is_lost() -> None:
    image = still(frame())
    for form in FORMATS.values():
        if not form.lossy:
            assert encode(image, form, 0).data == encode(image, form, 100).data


@pytest.mark.parametrize("quality", [-1, 101, 1000])
def test_an_impossible_quality_is_refused(quality: int) -> None:
    with pytest.raises(BadOption, match=f"quality {quality}: expected 0 to 100"):
        encode(still(frame()), JPEG, quality)


@pytest.mark.parametrize(("quality", "sampling"), [(95, (1, 1)), (90, (1, 1)), (89, (2, 2))])
def test_high_quality_jpeg_has_full_colour_resolution(
    quality: int, sampling: tuple[int, int]
) -> None:
    picture: Any = opened(encode(still(Frame(smooth())), JPEG, quality).data)
    assert picture.layer[0][1:3] == sampling


# Profiles


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
    ("channels", "icc"),
    [(1, P3), (3, LINEAR_GREY), (3, b"corrupt"), (3, P3[:150]), (1, b"")],
)
@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_a_profile_that_does_not_fit_breaks_no_file(form: Any, channels: int, icc: bytes) -> None:
    made = Frame(smooth()[..., :channels])
    data = encode(still(made, icc=icc), form).data
    assert "icc_profile" not in opened(data).info
    assert data == encode(still(made), form).data


# Metadata


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


# Animations


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
