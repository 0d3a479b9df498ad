"""Between the pixels of video (YUV by some matrix, limited or full range) and RGB."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from superres.errors import BadVideo
from superres.geometry import Size
from superres.image.frame import Frame
from superres.video.video_codecs import PixelNeeds

__all__ = ["Colour", "Converter", "read_colour"]

_UNSPECIFIED = 2  # by ITU-T H.273, as are the numbers below
_RGB, _BT709, _SMPTE170M = 0, 1, 6
_MATRICES = {_RGB, _BT709, 4, 5, _SMPTE170M, 7, 9}  # those that libswscale computes
_MIN_HD = Size(1280, 577)  # players take what is at least so wide or high for BT.709

# By default libswscale takes the nearest sample of colour and rounds down.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


class Colour(NamedTuple):
    """What a stream says of its colours, as numbers of ITU-T H.273; `full` for full range."""

    matrix: int
    primaries: int
    transfer: int
    full: bool


def read_colour(frame: VideoFrame, size: Size) -> Colour:
    """Read the colours of a stream from a frame of it.

    A matrix that is not stated is what players assume for the size: the larger output states it,
    so that they do not assume another.

    Args:
        frame: As decoded.
        size: Width and height as coded.

    Returns:
        The colours.

    Raises:
        BadVideo: By a matrix that cannot be computed.
    """
    is_rgb = frame.format.is_rgb or frame.format.has_palette
    matrix = _RGB if is_rgb else frame.colorspace
    if matrix == _UNSPECIFIED or (matrix == _RGB and not is_rgb):
        is_hd = size.width >= _MIN_HD.width or size.height >= _MIN_HD.height
        matrix = _BT709 if is_hd else _SMPTE170M
    if matrix not in _MATRICES:
        raise BadVideo(
            f"colour matrix {matrix} (ITU-T H.273): expected RGB, BT.601, BT.709 or BT.2020",
            code="FORMAT",
        )
    full = is_rgb or frame.color_range == ColorRange.JPEG or "yuvj" in frame.format.name
    return Colour(matrix, frame.color_primaries, frame.color_trc, full)


@dataclass
class Converter:
    """Converts the frames of one stream to RGB, and larger ones back to a pixel format.

    Attributes:
        colour: Of the stream, kept in the output.
        output_format: libavutil's name of the pixel format to be encoded.
    """

    colour: Colour
    output_format: str

    def __post_init__(self) -> None:
        self._reading = VideoReformatter()
        self._writing = VideoReformatter()
        # RGB formats of the output are full range and have no matrix.
        is_rgb = av.VideoFormat(self.output_format).is_rgb
        self.output_colour = (
            self.colour._replace(matrix=_RGB, full=True)
            if is_rgb
            else self.colour._replace(matrix=self.colour.matrix or _BT709, full=self._keeps_full())
        )

    def _keeps_full(self) -> bool:
        """Return whether YUV is written in full range: RGB becomes what players expect."""
        return self.colour.full and self.colour.matrix != _RGB

    def read(self, frame: VideoFrame) -> Frame:
        """Return a decoded frame as RGB of 8 bits, or of 16 where it has more than 8.

        Args:
            frame: In any pixel format.

        Returns:
            The frame, its alpha apart where it has any that is not opaque everywhere.
        """
        needs = PixelNeeds.of(frame.format.name)
        name = ("rgba" if needs.alpha else "rgb24") if needs.bits <= 8 else "rgba64le"
        made = self._reading.reformat(
            frame,
            format=name,
            src_colorspace=self.colour.matrix or None,
            src_color_range=ColorRange.JPEG if self.colour.full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
        )
        pixels: Any = made.to_ndarray()
        if pixels.shape[2] == 3:
            return Frame(pixels)
        colour, alpha = np.ascontiguousarray(pixels[..., :3]), pixels[..., 3]
        is_opaque = not needs.alpha or bool((alpha == np.iinfo(alpha.dtype).max).all())
        return Frame(colour, None if is_opaque else np.ascontiguousarray(alpha))

    def write(self, frame: Frame) -> VideoFrame:
        """Return a frame in the output's pixel format, stating its colours.

        Args:
            frame: RGB of 8 or 16 bits. Alpha is flattened onto black where the format has none.

        Returns:
            The frame to be encoded, without a time.
        """
        colour, alpha = frame.colour, frame.alpha
        if PixelNeeds.of(self.output_format).alpha:
            opaque = np.full(colour.shape[:2], frame.white, colour.dtype)
            pixels: Any = np.dstack([colour, opaque if alpha is None else alpha])
            name = "rgba" if frame.bit_depth == 8 else "rgba64le"
        else:
            pixels = colour
            if alpha is not None:
                flat = colour.astype(np.uint32) * alpha[..., None] + frame.white // 2
                pixels = (flat // frame.white).astype(colour.dtype)
            name = "rgb24" if frame.bit_depth == 8 else "rgb48le"
        given = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
        target = self.output_colour
        made = self._writing.reformat(
            given,
            format=self.output_format,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=target.matrix or None,
            dst_color_range=ColorRange.JPEG if target.full else ColorRange.MPEG,
            interpolation=_EXACT,
        )
        made.colorspace = target.matrix
        made.color_range = ColorRange.JPEG if target.full else ColorRange.MPEG
        made.color_primaries = target.primaries
        made.color_trc = target.transfer
        return made

    def tag(self, context: VideoCodecContext) -> None:
        """State the output's colours to an encoder."""
        target = self.output_colour
        context.colorspace = target.matrix
        context.color_range = ColorRange.JPEG if target.full else ColorRange.MPEG
        context.color_primaries = target.primaries
        context.color_trc = target.transfer
