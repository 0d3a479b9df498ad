import io
import struct
import time
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from superres.codecs.decode import decode
from tests.superres.codecs.files import chunk, noise, photo, saved, tiff

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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
