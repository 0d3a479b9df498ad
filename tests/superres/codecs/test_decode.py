import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.codecs.decode import Limits, decode
from superres.codecs.signatures import SUPPORTED
from superres.errors import BadImage, Refused
from tests.superres.codecs.files import (
    JPEG,
    PNG,
    animation,
    chunk,
    noise,
    photo,
    refused,
    saved,
    tiff,
)


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
