"""What a video file holds: checked against limits before any frame is upscaled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from superres.errors import BadVideo, TooLarge
from superres.geometry import Size
from superres.image.frame import Frame, Pixels
from superres.video.colour import Colour, read_colour
from superres.video.settings import DEFAULT_LIMITS, VideoLimits
from superres.video.video_codecs import PixelNeeds

__all__ = ["Orientation", "Times", "VideoInfo", "find_video", "open_video", "probe"]

# Others, such as hls, concat and image2, open further files and addresses that a file names.
_DEMUXERS = (
    *("mov", "mp4", "matroska", "webm", "avi", "gif", "mpegts", "mpeg", "flv"),
    *("ogg", "asf", "ivf", "yuv4mpegpipe", "nut", "mxf", "dv", "apng"),
)
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(_DEMUXERS),
    "fflags": "+genpts",
}
_INTERLACED = (2, 3, 4, 5)  # AVFieldOrder: TT, BB, TB, BT
_ONE = 1 << 16  # of a display matrix
_MICROSECONDS = 1_000_000  # of libavformat, in a second
_LOST_SHARE = 0.02  # of the play that may be missing from what the header says
_LOST_SECONDS = 1.0


@dataclass(frozen=True)
class Orientation:
    """How frames are turned to be shown: transposed first, then mirrored."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Read a frame's display matrix; other turns than by 90 degrees are left as they are."""
        matrix: Any = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if not b and not c and abs(a) == abs(d) == _ONE:
            return cls(transpose=False, flip_x=a < 0, flip_y=d < 0)
        if not a and not d and abs(b) == abs(c) == _ONE:
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls()

    def apply(self, frame: Frame) -> Frame:
        """Return a frame as it is shown."""
        alpha = None if frame.alpha is None else self._turn(frame.alpha)
        return Frame(self._turn(frame.colour), alpha, frame.milliseconds)

    def _turn(self, pixels: Pixels) -> Pixels:
        """Turn pixels (h, w, …)."""
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        turned: Any = pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(turned)


@dataclass(frozen=True, eq=False)
class Times:
    """When frames are shown, by the packets of a file.

    `starts` (n,) int64 ascending in units of `base`; `end` is when the last one has been shown.
    """

    starts: NDArray[np.int64]
    end: int
    base: Fraction

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last."""
        return float((self.end - int(self.starts[0])) * self.base) if len(self.starts) else 0.0

    def cut(self, start: Fraction, duration: Fraction | None) -> "Times":
        """Return the frames that begin from `start` on, for `duration` seconds (None: all)."""
        first = int(self.starts[0]) if len(self.starts) else 0
        low = ceil(first + start / self.base)
        high = self.end if duration is None else ceil(first + (start + duration) / self.base)
        chosen = self.starts[(self.starts >= low) & (self.starts < high)]
        return Times(chosen, min(high, self.end), self.base)


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoInfo:
    """A video file: `size` as coded, `shown_size` after turning, `aspect` of a shown pixel."""

    path: Path
    size: Size
    orientation: Orientation
    aspect: Fraction
    needs: PixelNeeds
    colour: Colour
    is_interlaced: bool
    rate: Fraction
    times: Times

    @property
    def shown_size(self) -> Size:
        """Width and height as shown."""
        return Size(self.size.height, self.size.width) if self.orientation.transpose else self.size


@contextmanager
def open_video(path: Path) -> Iterator[InputContainer]:
    """Open a file to read its packets.

    Args:
        path: The file; nothing else is opened for it.

    Yields:
        InputContainer: The open file.

    Raises:
        BadVideo: It is empty, or no video file.
    """
    if not path.stat().st_size:
        raise BadVideo(f"{path.name}: an empty file", code="EMPTY")
    try:
        container = av.open(str(path), "r", options=_OPTIONS, metadata_errors="replace")
    except FFmpegError as error:
        raise BadVideo(
            f"{path.name}: no video that can be read ({error.strerror}): expected a whole MP4, "
            "MOV, MKV, WebM, AVI or GIF file, not a raw stream, a playlist or a file cut off"
        ) from error
    with container:
        yield container


def find_video(container: InputContainer, name: str) -> VideoStream:
    """Find the stream to be upscaled: the first one that is no cover image. Raises BadVideo."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    held = ", ".join(stream.type for stream in container.streams) or "nothing"
    raise BadVideo(f"{name}: a file without video: it holds {held}", code="FORMAT")


def probe(
    path: Path, limits: VideoLimits = DEFAULT_LIMITS, allow_damaged: bool = False
) -> VideoInfo:
    """Read what a file holds: its first frame, and the times of all packets.

    Args:
        path: The file.
        limits: What it may be at most.
        allow_damaged: Take files that end early or hold packets that cannot be read.

    Returns:
        The facts of the file and its video stream.

    Raises:
        BadVideo: It is empty, cut off, encrypted or holds no video that can be decoded.
        TooLarge: It is beyond a limit.
    """
    held = path.stat().st_size
    if held > limits.bytes:
        raise TooLarge(
            f"{path.name}: {held} bytes: at most {limits.bytes} are allowed", code="BYTES"
        )
    with open_video(path) as container:
        stream = find_video(container, path.name)
        context = stream.codec_context
        if context is None:
            raise BadVideo(f"{path.name}: video of an unknown codec", code="FORMAT")
        size = Size(context.width, context.height)
        _check_size(path.name, size, limits)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        times = _scan(container, stream, limits, path.name, allow_damaged, 1 / rate)
        pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        field_order = context.field_order
    first = _decode_first(path)
    orientation = Orientation.of(first)
    aspect = Fraction(pixel_aspect) or Fraction(1)
    return VideoInfo(
        path=path,
        size=Size(first.width, first.height),
        orientation=orientation,
        aspect=1 / aspect if orientation.transpose else aspect,
        needs=PixelNeeds.of(first.format.name),
        colour=read_colour(first, size),
        is_interlaced=first.interlaced_frame or field_order in _INTERLACED,
        rate=rate,
        times=times,
    )


def _check_size(name: str, size: Size, limits: VideoLimits) -> None:
    """Check the size of frames. Raises BadVideo or TooLarge."""
    if not size.width or not size.height:
        raise BadVideo(f"{name}: video of an unknown size; the file may be cut off")
    if size.pixels > limits.pixels:
        raise TooLarge(
            f"{name}: frames of {size} pixels: at most {limits.pixels} pixels are allowed",
            code="PIXELS",
        )


def _scan(
    container: InputContainer,
    stream: VideoStream,
    limits: VideoLimits,
    name: str,
    allow_damaged: bool,
    step: Fraction,
) -> Times:
    """Read the times of all packets, without decoding. Raises BadVideo or TooLarge."""
    starts: list[int] = []
    base = stream.time_base or Fraction(1, 90_000)
    end = 0
    last_second = 0.0
    cause: FFmpegError | None = None
    try:
        for packet in container.demux():
            if packet.pts is None or packet.size == 0 or packet.is_discard:
                continue
            after = packet.pts + (packet.duration or 0)
            last_second = max(last_second, float(after * packet.time_base))
            if packet.stream_index == stream.index:
                _check_encryption(name, packet)
                starts.append(packet.pts)
                end = max(end, after, packet.pts + max(1, round(step / base)))
                _check_length(name, len(starts), float((packet.pts - starts[0]) * base), limits)
    except FFmpegError as error:
        cause = error
    if not starts:
        raise BadVideo(f"{name}: video without a single frame", code="EMPTY") from cause
    is_whole = cause is None and _is_whole(container, stream, len(starts), last_second)
    if not is_whole and not allow_damaged:
        total = container.duration and container.duration / _MICROSECONDS
        raise _cut_off(name, last_second, total) from cause
    shown = np.unique(np.array(starts, np.int64))
    if stream.duration and is_whole:
        # A packet lasts until the next one is decoded, which is not how long its frame is shown.
        end = max(stream.duration + (stream.start_time or 0), int(shown[-1]) + 1)
    return Times(shown, end, base)


def _is_whole(
    container: InputContainer, stream: VideoStream, frames: int, last_second: float
) -> bool:
    """Return whether as much was read as the header says."""
    if frames < stream.frames * (1 - _LOST_SHARE):
        return False
    if container.duration is None:
        return True
    total = (container.duration + (container.start_time or 0)) / _MICROSECONDS
    return total - last_second <= max(_LOST_SECONDS, _LOST_SHARE * total)


def _check_encryption(name: str, packet: "Packet[Any]") -> None:
    """Raises BadVideo where a packet is encrypted."""
    if packet.has_sidedata("encryption_info"):
        raise BadVideo(f"{name}: encrypted video: decrypt it first", code="ENCRYPTED")


def _check_length(name: str, frames: int, seconds: float, limits: VideoLimits) -> None:
    """Raises TooLarge where there are more frames or seconds than allowed."""
    if frames > limits.frames:
        raise TooLarge(
            f"{name}: more than {limits.frames} frames, the most that are allowed", code="FRAMES"
        )
    if seconds > limits.seconds:
        raise TooLarge(
            f"{name}: {seconds:.0f} seconds or more: at most {limits.seconds:g} are allowed",
            code="SECONDS",
        )


def _cut_off(name: str, read: float, total: float | None) -> BadVideo:
    """Return the error of a file that ends early."""
    of_all = "" if total is None else f" of {total:.1f}"
    return BadVideo(
        f"{name}: cut off or damaged: {read:.1f}{of_all} seconds can be read",
        code="TRUNCATED",
        allowed="a whole file, or --allow-damaged to take what there is",
    )


def _decode_first(path: Path) -> VideoFrame:
    """Decode the first frame that can be. Raises BadVideo."""
    cause: Exception | None = None
    with open_video(path) as container:
        stream = find_video(container, path.name)
        try:
            for packet in container.demux(stream):
                try:
                    for frame in packet.decode():
                        return frame
                except FFmpegError as error:
                    cause = error
        except FFmpegError as error:
            cause = error
    raise BadVideo(f"{path.name}: no frame of its video can be decoded") from cause
