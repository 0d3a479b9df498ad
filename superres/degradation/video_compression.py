"""Video compression as a step: the traces that H.264 and MPEG-4 leave in a still image.

PyAV (requirements-video.txt) encodes a few frames, in which the image moves to its place, and the
last is decoded again: most frames of a video are coded as motion and a residual.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from superres.degradation.steps import Context, DegradationStep, Floats, Range, Record
from superres.errors import BadSetting

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["CompressVideo"]

_BLOCK = 16  # pixels a side that every codec here divides a frame into
_ENCODERS = {"h264": "libx264", "mpeg4": "mpeg4"}
# One thread, no look-ahead and none of x264's AVX-512: the same seed gives the same bytes on every
# machine. x265 gave others now and then, whatever its options.
_OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "h264": {
            "preset": "fast",
            "tune": "zerolatency",
            "threads": "1",
            "x264-params": "asm=AVX2",
        },
        "mpeg4": {"threads": "1"},
    }
)
_QUANTIZERS: Mapping[str, Range] = MappingProxyType({"h264": (20, 38), "mpeg4": (2, 12)})


@dataclass(frozen=True, kw_only=True)
class CompressVideo(DegradationStep):
    """A video codec of constant quality, after a motion of some frames."""

    codecs: tuple[Literal["h264", "mpeg4"], ...] = ("h264", "mpeg4")
    frames: tuple[int, int] = (1, 4)
    motion: float = 3.0  # pixels a frame at most, along each axis

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Encode the image as the last frame of a clip and decode it."""
        codec = str(context.draw.choice(list(self.codecs)))
        quantizer = float(context.draw.uniform(*_QUANTIZERS[codec]))
        frames = int(context.draw.integers(self.frames[0], self.frames[1] + 1))
        motion = [float(v) for v in context.draw.uniform(-self.motion, self.motion, 2)]
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(
            np.rint(image * 255).astype(np.uint8),
            *(0, -height % _BLOCK, 0, -width % _BLOCK),
            cv2.BORDER_REPLICATE,
        )
        clip = [_shift(padded, motion, frames - 1 - number) for number in range(frames)]
        last = _decode(codec, _encode(codec, quantizer, clip))
        record = {"step": "video", "codec": codec, "quantizer": quantizer}
        changed = np.ascontiguousarray(last[:height, :width]).astype(np.float32) / np.float32(255)
        return changed, [{**record, "frames": frames, "motion": motion}]


def _shift(pixels: NDArray[Any], motion: list[float], times: int) -> NDArray[Any]:
    """Return the image as it was some frames before it arrived."""
    if not times:
        return pixels
    moved = np.array([[1, 0, motion[0] * times], [0, 1, motion[1] * times]], np.float32)
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(cv2.warpAffine(pixels, moved, size, borderMode=cv2.BORDER_REFLECT_101))


def _encode(
    codec: str, quantizer: float, clip: list[NDArray[Any]]
) -> "Iterator[Packet[VideoStream]]":
    """Yield the packets of a clip of RGB frames."""
    av = _import_av()
    encoder = av.CodecContext.create(_ENCODERS[codec], "w")
    encoder.width, encoder.height = clip[0].shape[1], clip[0].shape[0]
    encoder.pix_fmt, encoder.framerate = "yuv420p", 25
    encoder.gop_size = len(clip)
    options = dict(_OPTIONS[codec])
    if codec == "mpeg4":
        encoder.qmin = encoder.qmax = round(quantizer)
    else:
        options["crf"] = f"{quantizer:.3f}"
    encoder.options = options
    for number, pixels in enumerate(clip):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _decode(codec: str, packets: "Iterator[Packet[VideoStream]]") -> NDArray[np.uint8]:
    """Return the last frame, RGB."""
    decoder = _import_av().CodecContext.create(codec, "r")
    frames = []
    for packet in packets:
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    last: NDArray[np.uint8] = frames[-1].to_ndarray(format="rgb24")
    return last


def _import_av() -> Any:
    """Return PyAV. Raises BadSetting."""
    try:
        import av
    except ImportError as error:
        message = "video compression needs PyAV: pip install -r requirements-video.txt"
        raise BadSetting(message, option="recipe") from error
    av.logging.set_level(av.logging.PANIC)
    return av
