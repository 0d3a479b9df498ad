"""What a header tells of an image is what decoding makes of it, and comes without decoding."""

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from superres.codecs.decode import decode
from superres.codecs.limits import Limits
from superres.codecs.probe import Dimensions, probe, probe_tensor
from superres.errors import Refused
from superres.geometry import Size
from tests.inputs import REFUSED_BYTES, chunk, interlaced, png_header, ycck

NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)


def saved(kind: str, mode: str = "RGB", frames: int = 1, **options: Any) -> bytes:
    pictures = [Pillow.fromarray(np.roll(NOISE, n, 0)).convert(mode) for n in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    out = BytesIO()
    pictures[0].save(out, kind, **options, **more)
    return out.getvalue()


def deep(kind: str) -> bytes:
    out = BytesIO()
    Pillow.fromarray(NOISE[..., 0].astype(np.uint16) * 257).save(out, kind)
    return out.getvalue()


FILES = {
    **{f"PNG {mode}": saved("png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    **{f"JPEG {mode}": saved("jpeg", mode) for mode in ("L", "RGB", "CMYK")},
    **{f"WebP {mode}": saved("webp", mode) for mode in ("RGB", "RGBA")},
    **{f"TIFF {mode}": saved("tiff", mode) for mode in ("L", "RGB", "RGBA", "CMYK")},
    **{f"AVIF {mode}": saved("avif", mode) for mode in ("RGB", "RGBA")},
    **{f"BMP {mode}": saved("bmp", mode) for mode in ("L", "P", "RGB")},
    **{f"PPM {mode}": saved("ppm", mode) for mode in ("1", "L", "RGB")},
    **{f"{kind} of 3": saved(kind, frames=3) for kind in ("png", "webp", "tiff", "gif", "avif")},
    "lossless WebP": saved("webp", lossless=True),
    "PNG with a transparent colour": saved("png", "P", transparency=3),
    "GIF": saved("gif", "P"),
    "ICO": saved("ico", "RGBA", sizes=[(16, 16), (32, 24)]),
    "deep PNG": deep("png"),
    "deep TIFF": deep("tiff"),
    "interlaced PNG": interlaced(),
    "YCCK": ycck(),
}


@pytest.mark.parametrize("name", FILES)
def test_the_header_tells_what_decoding_makes(name: str) -> None:
    told, made = probe(FILES[name]), decode(FILES[name])
    first = made.frames[0]
    assert sorted(told.size) == sorted(made.size)
    assert told.frames == len(made.frames)
    assert told.bit_depth == first.bit_depth
    # Alpha may turn out not to be there, and a palette to be grey.
    assert told.channels >= first.channels
    assert told.channels - first.channels <= 1
    assert told.bytes == told.size.pixels * told.channels * told.bit_depth // 8 * told.frames


def refusal(call: Callable[[bytes, Limits], object], data: bytes) -> str | None:
    """The code that `data` is refused with, None where it is not."""
    try:
        call(data, Limits(4 * 2**20, 400_000))
    except Refused as error:
        return error.code
    return None


@pytest.mark.parametrize("data", [r[1] for r in REFUSED_BYTES], ids=[r[0] for r in REFUSED_BYTES])
def test_what_it_refuses_decoding_refuses_alike(data: bytes) -> None:
    told = refusal(probe, data)
    assert told in {None, refusal(decode, data)}


def test_it_refuses_what_headers_tell() -> None:
    refused = [name for name, data, _ in REFUSED_BYTES if refusal(probe, data)]
    assert len(refused) > len(REFUSED_BYTES) / 2


def test_pixels_are_not_read() -> None:
    nonsense = chunk(b"IDAT", zlib.compress(b"no pixels")) + chunk(b"IEND", b"")
    assert probe(png_header(5000, 4000) + nonsense).size == Size(5000, 4000)
    with pytest.raises(Refused):
        decode(png_header(5000, 4000) + nonsense)


@pytest.mark.parametrize(
    ("shape", "channels"), [((7, 5), 1), ((7, 5, 1), 1), ((7, 5, 3), 3), ((7, 5, 4), 4)], ids=str
)
def test_a_tensor_tells_by_its_shape(shape: tuple[int, ...], channels: int) -> None:
    told = probe_tensor(np.zeros(shape, np.float32))
    assert told == Dimensions("tensor", Size(5, 7), channels)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((0, 3)), np.zeros((1, 2, 3, 3)), "text"])
def test_what_is_no_picture_has_no_dimensions(array: object) -> None:
    assert probe_tensor(array) is None
