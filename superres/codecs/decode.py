"""From the bytes of an image file to an Image."""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as Pillow
from PIL.TiffImagePlugin import TiffImageFile

from contract.problem import quote
from superres.codecs import exif_xmp, icc_profile, tiff
from superres.codecs.limits import Limits, check_size
from superres.codecs.png import chunks
from superres.codecs.sniff import sniff_format
from superres.errors import BadImage, Refused, TooLarge
from superres.geometry import Size
from superres.image.frame import Frame, Image, Pixels

__all__ = ["Limits", "decode"]


@dataclass(frozen=True)
class Reader:
    """Pillow's class for a file format, and the format to answer in."""

    opener: Callable[[BytesIO], ImageFile.ImageFile]
    answer: str


# Pillow's own search is not used: it tries 43 formats, one through Ghostscript, and takes the
# previews in a phone's JPEG for frames.
READERS = {
    "PNG": Reader(PngImagePlugin.PngImageFile, "png"),
    "JPEG": Reader(JpegImagePlugin.JpegImageFile, "jpeg"),
    "WebP": Reader(WebPImagePlugin.WebPImageFile, "webp"),
    "TIFF": Reader(TiffImageFile, "tiff"),
    "GIF": Reader(GifImagePlugin.GifImageFile, "gif"),
    "AVIF": Reader(AvifImagePlugin.AvifImageFile, "avif"),
    "BMP": Reader(BmpImagePlugin.BmpImageFile, "bmp"),
    "ICO": Reader(IcoImagePlugin.IcoImageFile, "png"),
    "PPM": Reader(PpmImagePlugin.PpmImageFile, "png"),
}

# What the readers raise on a damaged file; warnings too, where an operator makes them errors.
_READER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Warning,
    imagecodecs.PngError,
    imagecodecs.TiffError,
)


DEFAULT_LIMITS = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, checked: str | None = None) -> Image:
    """Decode an image file.

    Sizes are checked from the headers before any pixel is read.

    Args:
        data: The file.
        limits: The largest input.
        checked: The format of a file that was probed already, which is not checked again.

    Returns:
        The image upright, RGB or grey with alpha apart, its depth and profile kept.

    Raises:
        TooLarge: BYTES, PIXELS or FRAMES beyond the limits.
        BadImage: EMPTY, UNDECODABLE, TRUNCATED, FORMAT, MODE, or BLOB_IS_URL, BLOB_IS_PATH,
            BLOB_IS_BASE64 for text in place of an image.
    """
    name = checked or sniff_format(data, limits)
    with blame_file(name):
        image_file = READERS[name].opener(BytesIO(data))
        return _decode_image(image_file, data, name, limits)


@contextmanager
def blame_file(name: str) -> Iterator[None]:
    """Turn what a reader raises on a damaged file into BadImage."""
    try:
        yield
    except Refused:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise TooLarge(f"{name}: {error}", code="PIXELS") from error
    except _READER_ERRORS as error:
        reason = str(error) or type(error).__name__
        if "unknown pixel mode" in reason:
            raise BadImage(
                f"{name} with samples of a kind that is not read: expected 8 or 16 bits, unsigned",
                code="MODE",
            ) from error
        cut = re.search(r"(?i)truncated|too small|no more images|unexpected end", reason)
        code = "TRUNCATED" if cut else "UNDECODABLE"
        raise BadImage(f"{name} that cannot be read: {quote(reason)}", code=code) from error


def _decode_image(image_file: ImageFile.ImageFile, data: bytes, name: str, limits: Limits) -> Image:
    """Return the frames of a file that is open but not yet decoded."""
    size = image_file.size
    check_size(Size(*size), 1, limits)
    numbers, dropped = select_frames(image_file, limits)
    check_size(Size(*size), len(numbers), limits)
    frames = []
    for index in numbers:
        image_file.seek(index)
        if image_file.size != size:
            raise BadImage(f"{name} with frames of {size} and of {image_file.size} pixels")
        frames.append(_decode_frame(image_file, data, index))
    if len(frames) == 1:
        frames = [replace(frames[0], milliseconds=0)]
    image = Image(
        _unify(frames),
        READERS[name].answer,
        exif=_exif(image_file),
        xmp=_bytes(image_file.info.get("xmp")),
        loop=_plays(image_file) if len(frames) > 1 else 0,
        frames_dropped=dropped,
    )
    # Other colours are sRGB by now, whatever profile came with them.
    converted = image_file.mode in ("CMYK", "LAB")
    return image if converted else _attach_profile(image, image_file.info.get("icc_profile"))


# Frames


def select_frames(image_file: ImageFile.ImageFile, limits: Limits) -> tuple[range, int]:
    """Return which frames are read, and how many are left out."""
    if isinstance(image_file, TiffImageFile):
        return _select_pages(image_file, limits)
    count = int(getattr(image_file, "n_frames", 1))
    # The first image of an animated PNG may be only for those who cannot show the animation.
    start = int(count > 1 and bool(getattr(image_file, "default_image", False)))
    return range(start, count), 0


def _select_pages(image_file: TiffImageFile, limits: Limits) -> tuple[range, int]:
    """Return all pages of a TIFF file where they have one size, else the first."""
    sizes = [image_file.size]
    try:
        # Counted here because Pillow's own count knows no limit.
        while len(sizes) <= limits.max_frames:
            image_file.seek(len(sizes))
            sizes.append(image_file.size)
    except EOFError:
        image_file.seek(0)
    if len(sizes) > limits.max_frames:
        check_size(Size(*sizes[0]), len(sizes), limits)
    return (range(len(sizes)), 0) if len(set(sizes)) == 1 else (range(1), len(sizes) - 1)


def _plays(image_file: ImageFile.ImageFile) -> int:
    """Return how often an animation is shown; 0 for ever. GIF files count what follows the first
    time.
    """
    loop = image_file.info.get("loop")
    if isinstance(image_file, GifImagePlugin.GifImageFile):
        return 1 if loop is None else int(loop) + 1 if loop else 0
    return int(loop or 0)


def _unify(frames: list[Frame]) -> tuple[Frame, ...]:
    """Return `frames` with the same channels and depth: those of the richest."""
    coloured = any(frame.colour.shape[2] == 3 for frame in frames)
    transparent = any(frame.alpha is not None for frame in frames)
    deep = any(frame.bit_depth == 16 for frame in frames)
    return tuple(_promote(frame, coloured, transparent, deep) for frame in frames)


def _promote(frame: Frame, coloured: bool, transparent: bool, deep: bool) -> Frame:
    colour: NDArray[Any] = frame.colour
    alpha: NDArray[Any] | None = frame.alpha
    if coloured and colour.shape[2] == 1:
        colour = np.repeat(colour, 3, axis=2)
    if transparent and alpha is None:
        alpha = np.full(colour.shape[:2], frame.white, colour.dtype)
    if deep and frame.bit_depth == 8:
        colour = colour.astype(np.uint16) * np.uint16(257)
        alpha = None if alpha is None else alpha.astype(np.uint16) * np.uint16(257)
    return replace(frame, colour=colour, alpha=alpha)


def _decode_frame(image_file: ImageFile.ImageFile, data: bytes, index: int) -> Frame:
    """Return the current frame of `image_file`, upright."""
    if isinstance(image_file, TiffImageFile) and tiff.is_deep(image_file):
        return _split(
            _turn_upright(tiff.read(image_file, data, index), tiff.orientation(image_file)), 0
        )
    pixels = (
        _deep_png(image_file.size, data) if _is_deep_png(image_file, data) else _pixels(image_file)
    )
    # Pillow turns TIFF files itself, but only these.
    if not isinstance(image_file, TiffImageFile):
        pixels = _turn_upright(pixels, exif_xmp.read_orientation(image_file.info.get("exif")))
    return _split(pixels, round(image_file.info.get("duration") or 0))


def _split(pixels: NDArray[Any], milliseconds: int) -> Frame:
    """Return the frame of (h, w, 1 to 4) pixels."""
    if pixels.shape[2] in (1, 3):
        colour: NDArray[Any] = np.ascontiguousarray(pixels)
        return Frame(colour, None, milliseconds)
    colour = np.ascontiguousarray(pixels[..., :-1])
    alpha: NDArray[Any] = np.ascontiguousarray(pixels[..., -1])
    return Frame(colour, alpha, milliseconds)


TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return `pixels` as EXIF's `orientation` says they are to be seen."""
    return TURNS[orientation](pixels) if orientation in TURNS else pixels


# Pixels


BAND = 2**16  # pixels copied at a time; stays in the cache
MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


def _pixels(image_file: ImageFile.ImageFile) -> Pixels:
    """Return (h, w, 1 to 4) levels of what Pillow decodes: grey stays grey, all else
    becomes RGB.
    """
    image_file.load()
    if image_file.mode in ("CMYK", "LAB"):
        converted = icc_profile.convert_image_to_srgb(
            image_file, image_file.info.get("icc_profile")
        )
    elif image_file.mode in MODES:
        target = MODES[image_file.mode]
        if image_file.has_transparency_data:
            target = _WITH_ALPHA.get(target, target)
        # Pillow copies an image that it need not convert.
        converted = image_file if image_file.mode == target else image_file.convert(target)
    else:
        return _deep_grey(image_file)[:, :, None]
    return _levels(converted)


def _levels(image_file: Pillow.Image) -> NDArray[np.uint8]:
    """Return (h, w, channels) of an 8-bit image, some rows at a time.

    As one array it takes 3 times as long, and a second copy on its way.
    """
    width, height = image_file.size
    made = np.empty((height, width, len(image_file.getbands())), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = np.asarray(image_file.crop((0, top, width, bottom)))
        made[top:bottom] = band.reshape(bottom - top, width, -1)
    return made


def _deep_grey(image_file: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """Return (h, w) levels of a grey image of more than 8 bits whose range is known."""
    full_range = isinstance(image_file, PngImagePlugin.PngImageFile | PpmImagePlugin.PpmImageFile)
    if full_range and image_file.mode in ("I", "I;16", "I;16B"):
        return np.array(image_file).astype(np.uint16)
    if isinstance(image_file, TiffImageFile) and tiff.bits(image_file) == {12}:
        levels: NDArray[np.uint16] = np.array(image_file).astype(np.uint16)
        return levels * np.uint16(16) + levels // np.uint16(256)
    # 32-bit integers and floats do not say which value is white.
    raise BadImage(
        f"{image_file.format} with samples of mode {image_file.mode}: "
        "expected 8 or 16 bits, unsigned",
        code="MODE",
    )


def _is_deep_png(image_file: ImageFile.ImageFile, data: bytes) -> bool:
    """Return whether `image_file` is a still PNG of 16 bits; Pillow silently makes its colours
    8 bits.
    """
    header = (
        chunks.read_header(data) if isinstance(image_file, PngImagePlugin.PngImageFile) else None
    )
    animated = getattr(image_file, "is_animated", False)
    return header is not None and header.bit_depth == 16 and not animated


def _deep_png(size: tuple[int, int], data: bytes) -> Pixels:
    """Return (h, w, 1 to 4) levels of a 16-bit PNG file; what it marks as transparent as alpha."""
    levels: Pixels = imagecodecs.png_decode(data)
    if levels.shape[:2] != size[::-1]:
        raise BadImage(f"PNG whose headers differ: {size} and {levels.shape[1::-1]} pixels")
    return levels[:, :, None] if levels.ndim == 2 else levels


# What the file says beside its pixels


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None


def _exif(image_file: ImageFile.ImageFile) -> bytes | None:
    """Return the EXIF block; the descriptive tags of a TIFF file, which are among those of its
    layout.
    """
    if not isinstance(image_file, TiffImageFile):
        return _bytes(image_file.info.get("exif"))
    try:
        described = exif_xmp.select_descriptive(image_file.getexif())
        return None if described is None else described.tobytes()
    except exif_xmp.EXIF_ERRORS:
        return None


def _attach_profile(image: Image, icc: object) -> Image:
    """Return `image` with its profile, or in sRGB where that is too large to travel."""
    profile = icc_profile.select_profile(
        icc, "L" if image.frames[0].colour.shape[2] == 1 else "RGB"
    )
    if profile is None or len(profile) <= icc_profile.MAX_BYTES:
        return replace(image, icc=profile)
    frames = tuple(
        replace(f, colour=icc_profile.convert_to_srgb(f.colour, profile)) for f in image.frames
    )
    return replace(image, frames=frames)
