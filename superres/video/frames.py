"""The frames of a video one after the other, with their times."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from av.container import InputContainer
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingMore
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from superres.errors import BadVideo
from superres.geometry import Size
from superres.video.probe import VideoInfo, find_video, open_video
from superres.video.settings import VideoSettings

__all__ = ["FrameReader", "TimedFrame"]

_MAX_DENOISE = 30.0  # of libavfilter's nlmeans


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """A decoded frame, shown from `start` on, in units of the stream's time base."""

    start: int
    image: VideoFrame


@dataclass
class FrameReader:
    """Decodes a video from its beginning, for frames are only then the same in every run.

    Attributes:
        info: Of the file.
        settings: `denoise`, `deinterlace` and `allow_damaged` count.
        damaged: Frames or packets that could not be decoded whole, so far.
        interlaced: Frames that are interlaced and left so, so far.
        moved: Frames whose time was not after the one before, and was moved there.
    """

    info: VideoInfo
    settings: VideoSettings
    damaged: int = 0
    interlaced: int = 0
    moved: int = 0
    _last: int | None = field(default=None, repr=False)

    def read(self) -> Iterator[TimedFrame]:
        """Yield all frames in the order they are shown.

        Yields:
            TimedFrame: Frames with ascending times.

        Raises:
            BadVideo: A frame cannot be decoded, or is of another size than the first.
        """
        with open_video(self.info.path) as container:
            stream = find_video(container, self.info.path.name)
            stream.thread_type = "AUTO"
            graph = self._make_graph(stream)
            for image in self._decode(container, stream):
                if graph is None:
                    yield self._time(image)
                else:
                    graph.vpush(image)
                    yield from map(self._time, _pull(graph))
            if graph is not None:
                graph.vpush(None)
                yield from map(self._time, _pull(graph))

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Yield decoded frames, those that are damaged only where that is allowed."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                images = packet.decode()
            except FFmpegError as error:
                self._count_damage(error)
                if not isinstance(error, ValueError):  # the file, not one packet of it, is broken
                    return
                continue
            for image in images:
                if image.is_corrupt:
                    self._count_damage(None)
                self._check_size(image)
                yield image

    def _count_damage(self, cause: Exception | None) -> None:
        """Count damage. Raises BadVideo where none is allowed."""
        self.damaged += 1
        if not self.settings.allow_damaged:
            near = 0.0 if self._last is None else float(self._last * self.info.times.base)
            raise BadVideo(
                f"{self.info.path.name}: video that cannot be decoded near {near:.1f} seconds",
                allowed="a whole file, or --allow-damaged to take what there is",
            ) from cause

    def _check_size(self, image: VideoFrame) -> None:
        """Raises BadVideo where a frame is of another size than the first."""
        size = Size(image.width, image.height)
        if size != self.info.size:
            raise BadVideo(
                f"{self.info.path.name}: its frames change from {self.info.size} to {size} pixels: "
                "expected one size",
                code="FORMAT",
            )

    def _time(self, image: VideoFrame) -> TimedFrame:
        """Return a frame with a time after the last one's."""
        base = self.info.times.base
        own = image.time_base or base
        start = None if image.pts is None else round(image.pts * own / base)
        if start is None or (self._last is not None and start <= self._last):
            self.moved += 1
            start = 0 if self._last is None else self._last + 1
        self._last = start
        self.interlaced += image.interlaced_frame
        return TimedFrame(start, image)

    def _make_graph(self, stream: VideoStream) -> Graph | None:
        """Return the filters that are asked for; None where there are none."""
        wanted = []
        if self.info.is_interlaced and self.settings.deinterlace:
            wanted.append(("bwdif", "mode=send_frame:deint=interlaced"))
        if self.settings.denoise:
            strength = 1 + self.settings.denoise * (_MAX_DENOISE - 1) / 10
            wanted.append(("nlmeans", f"s={strength:g}:p=5:r=9"))
        if not wanted:
            return None
        graph = Graph()
        nodes = [graph.add_buffer(template=stream, time_base=stream.time_base or Fraction(1, 1000))]
        nodes += [graph.add(name, options) for name, options in wanted]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph


def _pull(graph: Graph) -> Iterator[VideoFrame]:
    """Yield what a graph has ready."""
    while True:
        try:
            yield graph.vpull()
        except (NothingYet, NothingMore):
            return
