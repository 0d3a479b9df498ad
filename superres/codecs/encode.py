"""From frames to the bytes of an image file, and what each file format can hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, WebPImagePlugin  # noqa: F401 - they register their writers
from PIL import Image as Pillow

from superres.codecs import exif_xmp, icc_profile, jpeg_writer, tiff
from superres.codecs.jpeg_writer import FULL_COLOUR
from superres.codecs.pillow_frames import index_colours, to_pillow
from superres.codecs.png import writer
from superres.codecs.png.writer import RECIPES
from superres.errors import BadOption
from superres.geometry import Size
from superres.image.frame import Frame, Image, ImageMetadata
from superres.image.frame_stream import FrameStream

STRIP = 2**20  # pixels converted at a time, so that no second whole image is made


@dataclass(frozen=True)
class Format:
    """A file format that is written: its names, and what of an image it can hold."""

    name: str
    mime_type: str
    names: tuple[str, ...]  # other names and file name endings
    largest_side: int
    alpha: bool = True
    depth16: bool = False
    animation: bool = True  # or pages
    grey: bool = True  # stores one channel, so that a grey profile fits
    icc: bool = True
    metadata: bool = True  # EXIF and XMP


_UNBOUNDED = 2**31 - 1
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        made.name: made
        for made in (
            Format("png", "image/png", ("apng",), _UNBOUNDED, depth16=True),
            Format(
                "jpeg", "image/jpeg", ("jpg", "jpe", "jfif"), 65_500, alpha=False, animation=False
            ),
            Format("webp", "image/webp", (), 16_383, grey=False),
            Format("tiff", "image/tiff", ("tif",), _UNBOUNDED, depth16=True),
            Format(
                "bmp",
                "image/bmp",
                ("dib",),
                _UNBOUNDED,
                alpha=False,
                animation=False,
                icc=False,
                metadata=False,
            ),
            Format("gif", "image/gif", (), 65_535, icc=False, metadata=False),
            # libavif writes more, but reads up to this.
            Format("avif", "image/avif", ("avifs",), 32_768),
        )
    }
)


@dataclass(frozen=True)
class Encoded:
    """An image file, and what of the image is in it.

    `frames_dropped` counts the frames and pages of the input that are not. Equal frames in a row
    may be stored as one that is shown longer.
    """

    data: bytes
    mime_type: str
    format: str
    bit_depth: int
    frames: int
    frames_dropped: int


def find_format(name: object) -> Format:
    """Return the format called `name`, in any case, with or without a dot. Raises BadOption."""
    wanted = name.strip().lower().removeprefix(".") if isinstance(name, str) else None
    for made in FORMATS.values():
        if wanted == made.name or wanted in made.names:
            return made
    raise BadOption("image_format", name, f"one of {', '.join(FORMATS)}")


@dataclass(frozen=True)
class Effort:
    """`quality` 0..100 is for lossy formats, `png_compression` 0 (none) .. 9 (smallest) for PNG."""

    quality: int = 95
    png_compression: int = writer.DEFAULT_COMPRESSION

    def check(self) -> None:
        """Raise BadOption for a value out of range."""
        for name, most in (("quality", 100), ("png_compression", len(RECIPES) - 1)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise BadOption(name, value, f"0 to {most}")


def encode(
    image: Image,
    format: Format | str,  # noqa: A002
    quality: int = 95,
    keep_metadata: bool = False,
    png_compression: int = writer.DEFAULT_COMPRESSION,
) -> Encoded:
    """Encode an image as a file.

    Args:
        image: Frames of 8 or 16 bits; what the format cannot hold is converted, see
            `encode_streams`.
        format: A format or its name, e.g. "png".
        quality: 0..100, of lossy formats.
        keep_metadata: Whether EXIF and XMP travel.
        png_compression: 0 (none) .. 9 (smallest), of PNG.

    Returns:
        The file, and what of the image is in it.

    Raises:
        BadOption: The format is unknown, a number is out of range, or the image is too large for
            the format.
    """
    chosen = find_format(format) if isinstance(format, str) else format
    streams = [FrameStream.of(frame) for frame in image.frames]
    effort = Effort(quality, png_compression)
    return encode_streams(streams, image.metadata, chosen, effort, keep_metadata)


def encode_streams(
    frames: Sequence[FrameStream],
    metadata: ImageMetadata,
    format: Format,  # noqa: A002
    effort: Effort,
    keep_metadata: bool = False,
) -> Encoded:
    """Return `frames` as a file of `format`, which takes their rows in turn; PNG and JPEG as they
    come.

    Alpha is laid on white, 16 bits become 8, colours become sRGB and frames after the first are
    left out, their rows not even taken, only where the format cannot hold them. Metadata is left
    out unless `keep_metadata`, orientation and thumbnails always. Raises BadOption for a value of
    `effort` out of range, or an image too large for the format.
    """
    effort.check()
    first = frames[0]
    check_side(format, first.size)
    written = frames if format.animation else frames[:1]
    grey = first.channels < 3
    icc = _choose_profile(metadata.icc, grey)
    embedded = format.icc and icc is not None and (format.grey or not grey)
    extras = _collect_metadata(
        metadata, first.size, format, keep_metadata, icc if embedded else None
    )
    fitted = partial(fit_frame, holds=format, icc=None if embedded else icc)
    return Encoded(
        _WRITERS[format.name](EncoderInput(written, metadata.loop, fitted), extras, effort),
        format.mime_type,
        format.name,
        first.bit_depth if format.depth16 else 8,
        len(written),
        metadata.frames_dropped + len(frames) - len(written),
    )


def check_side(holds: Format, size: Size) -> None:
    """Raise BadOption where an image of `size` is too long for a format; name those that do."""
    longest = max(size)
    if longest > holds.largest_side:
        able = [made.name for made in FORMATS.values() if made.largest_side >= longest]
        raise BadOption(
            "image_format",
            holds.name,
            f"sides of at most {holds.largest_side} pixels, or for {size} one of {', '.join(able)}",
        )


def _choose_profile(icc: bytes | None, grey: bool) -> bytes | None:
    """Return the profile, where it fits the frames and can be read back."""
    icc = icc_profile.select_profile(icc, "L" if grey else "RGB")
    return icc if icc is None or len(icc) <= icc_profile.MAX_BYTES else None


# What a format cannot hold


def fit_frame(frame: Frame, holds: Format, icc: bytes | None) -> Frame:
    """Convert a frame to what a file format holds.

    Args:
        frame: Of 8 or 16 bits, with alpha or without.
        holds: The format.
        icc: A profile that the format cannot hold.

    Returns:
        The frame, without alpha and of 8 bits where the format has no other; in sRGB where `icc`
        is given.
    """
    if not holds.alpha:
        frame = _lay_on_white(frame)
    if not holds.depth16:
        frame = _reduce_to_8_bits(frame)
    if icc is None:
        return frame
    return replace(frame, colour=icc_profile.convert_to_srgb(frame.colour, icc))


def _lay_on_white(frame: Frame) -> Frame:
    """Return `frame` without alpha, laid on white."""
    if frame.alpha is None:
        return frame
    # 255 · 255 + 127 fits 16 bits, 65535 · 65535 + 32767 fits 32.
    alpha: NDArray[Any] = frame.alpha
    wide = np.dtype(np.uint16 if frame.bit_depth == 8 else np.uint32)
    white = wide.type(frame.white)

    def laid(colour: NDArray[Any], top: int, bottom: int) -> NDArray[Any]:
        opacity = alpha[top:bottom, :, None].astype(wide)
        made: NDArray[Any] = colour * opacity + (white - opacity) * white + white // 2
        return made // white

    return replace(
        frame, colour=_convert_strips(frame.colour, frame.colour.dtype, laid), alpha=None
    )


def _reduce_to_8_bits(frame: Frame) -> Frame:
    """Return `frame` with each level rounded to the nearest of 0..255."""
    if frame.bit_depth == 8:
        return frame

    def rounded(levels: NDArray[Any], _top: int, _bottom: int) -> NDArray[Any]:
        return (levels.astype(np.uint32) * 255 + 32767) // 65535

    colour = _convert_strips(frame.colour, np.dtype(np.uint8), rounded)
    alpha = None
    if frame.alpha is not None:
        alpha = _convert_strips(frame.alpha, np.dtype(np.uint8), rounded)
    return replace(frame, colour=colour, alpha=alpha)


def _convert_strips(
    levels: NDArray[Any],
    dtype: np.dtype[Any],
    change: Callable[[NDArray[Any], int, int], NDArray[Any]],
) -> NDArray[Any]:
    """Return `change` of `levels`, a few rows at a time: what it computes with is wider than
    levels.
    """
    made = np.empty(levels.shape, dtype)
    rows = max(1, STRIP // levels.shape[1])
    for top in range(0, levels.shape[0], rows):
        bottom = min(top + rows, levels.shape[0])
        made[top:bottom] = change(levels[top:bottom], top, bottom)
    return made


# What is not pixels


@dataclass(frozen=True)
class Metadata:
    """What goes into a file beside its pixels."""

    icc: bytes | None
    exif: Pillow.Exif | None
    xmp: bytes | None

    def for_pillow(self) -> dict[str, Any]:
        """Return the metadata as Pillow's writers take it."""
        exif = None if self.exif is None else self.exif.tobytes()
        given = {"icc_profile": self.icc, "exif": exif, "xmp": self.xmp}
        return {name: value for name, value in given.items() if value is not None}


def _collect_metadata(
    metadata: ImageMetadata, size: Size, holds: Format, keep_metadata: bool, icc: bytes | None
) -> Metadata:
    if not (keep_metadata and holds.metadata):
        return Metadata(icc, None, None)
    exif = exif_xmp.clean_exif(metadata.exif, size) if metadata.exif else None
    xmp = exif_xmp.clean_xmp(metadata.xmp) if metadata.xmp else None
    return Metadata(icc, exif, xmp)


# Writers


class EncoderInput(NamedTuple):
    """The frames of a file, how often they play, and what makes them fit the format."""

    streams: Sequence[FrameStream]
    loop: int
    fitted: Callable[[Frame], Frame]

    def frames(self) -> Iterator[Frame]:
        """Return whole frames that fit."""
        return (self.fitted(scroll.whole()) for scroll in self.streams)

    def images(self) -> list[Pillow.Image]:
        """Return the same as Pillow's images."""
        return [to_pillow(frame) for frame in self.frames()]

    @property
    def durations(self) -> dict[str, Any]:
        """Pillow's option for the time that each frame is shown."""
        if len(self.streams) == 1:
            return {}
        return {"duration": [scroll.milliseconds for scroll in self.streams]}


def _png(source: EncoderInput, extras: Metadata, effort: Effort) -> bytes:
    # There is nothing that a PNG file cannot hold.
    exif = None if extras.exif is None else extras.exif.tobytes().removeprefix(exif_xmp.EXIF_PREFIX)
    beside = writer.PngMetadata(extras.icc, exif, extras.xmp)
    return writer.write_png(source.streams, beside, source.loop, effort.png_compression)


def _tiff(source: EncoderInput, extras: Metadata, _effort: Effort) -> bytes:
    beside = tiff.TiffMetadata(extras.icc, extras.exif, extras.xmp)
    return tiff.write_tiff(tuple(source.frames()), beside)


def _jpeg(source: EncoderInput, extras: Metadata, effort: Effort) -> bytes:
    return jpeg_writer.write_jpeg(
        source.streams[0], effort.quality, extras.for_pillow(), source.fitted
    )


def _bmp(source: EncoderInput, _extras: Metadata, _effort: Effort) -> bytes:
    return _save_with_pillow("bmp", source.images(), {})


def _webp(source: EncoderInput, extras: Metadata, effort: Effort) -> bytes:
    # Effort 2 of 0..6: half the time of the default 4 for 2 % more bytes.
    options = {"quality": effort.quality, "method": 2, "loop": source.loop} | source.durations
    return _save_with_pillow("webp", source.images(), options | extras.for_pillow())


def _avif(source: EncoderInput, extras: Metadata, effort: Effort) -> bytes:
    # Speed 9 of 0..10: 3.6 times as fast as 8 for the same size, 7 times as fast as the default 6
    # for 23 % more bytes.
    quality = effort.quality
    grey = source.streams[0].channels == 1
    subsampling = "4:0:0" if grey else "4:4:4" if quality >= FULL_COLOUR else "4:2:0"
    options = {"quality": quality, "speed": 9, "subsampling": subsampling} | source.durations
    return _save_with_pillow("avif", source.images(), options | extras.for_pillow())


def _gif(source: EncoderInput, _extras: Metadata, _effort: Effort) -> bytes:
    options: dict[str, Any] = source.durations
    if len(source.streams) > 1 and source.loop != 1:
        # GIF counts how often an animation is repeated.
        options["loop"] = max(source.loop - 1, 0)
    if source.streams[0].channels in (2, 4):
        options["disposal"] = 2
    images = [index_colours(frame) for frame in source.frames()]
    return _save_with_pillow("gif", images, options | {"optimize": False})


_WRITERS: Mapping[str, Callable[[EncoderInput, Metadata, Effort], bytes]] = MappingProxyType(
    {
        "png": _png,
        "jpeg": _jpeg,
        "webp": _webp,
        "tiff": _tiff,
        "bmp": _bmp,
        "gif": _gif,
        "avif": _avif,
    }
)


def _save_with_pillow(name: str, images: list[Pillow.Image], options: dict[str, Any]) -> bytes:
    """Return the file Pillow writes."""
    out = BytesIO()
    if len(images) > 1:
        options = options | {"save_all": True, "append_images": images[1:]}
    images[0].save(out, name, **options)
    return out.getvalue()
