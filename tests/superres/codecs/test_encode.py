import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from superres.codecs.decode import decode
from superres.codecs.encode import FORMATS, encode, find_format
from superres.errors import BadOption
from superres.image.frame import Frame
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


@pytest.mark.parametrize("form", [JPEG, WEBP, AVIF])
def test_files_grow_with_quality_and_every_quality_is_valid(form: Any) -> None:
    image = still(Frame(smooth(200, 150) // 2 + levels(150, 200, 3) // 4))
    sizes = [len(encode(image, form, quality).data) for quality in (0, 10, 50, 95, 100)]
    assert sizes == sorted(sizes)
    assert len(set(sizes[1:4])) == 3


def test_quality_changes_nothing_where_nothing_is_lost() -> None:
    image = still(frame())
    for form in FORMATS.values():
        if form.name not in {"jpeg", "webp", "avif"}:
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
