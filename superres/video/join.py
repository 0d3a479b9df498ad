"""The output file: the segments one after the other, beside them the input's other streams."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream
from numpy.typing import NDArray

from superres.errors import BadSetting
from superres.video.audio import AudioEncoder
from superres.video.probe import VideoInfo, open_video
from superres.video.segments import SHIFT, EncoderSettings, Segment, WorkFolder, read_packets
from superres.video.streams import Action, KeptStream, StreamPlan
from superres.video.video_codecs import CONTAINERS

__all__ = ["OutputTimes", "join"]

# What libavformat writes itself, or what was true of the input alone.
_OWN_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate"}
_OWN_TAGS |= {"bps", "number_of_frames", "number_of_bytes", "vendor_id"}


@dataclass(frozen=True)
class OutputTimes:
    """From the input's times to the output's: `origin` becomes 0, all outside is left out.

    Seconds. Where nothing is cut, `origin` is 0 and everything is inside.
    """

    origin: Fraction = Fraction(0)
    first: Fraction | None = None
    end: Fraction | None = None

    def holds(self, seconds: Fraction) -> bool:
        """Return whether what begins at a time is inside."""
        return (self.first is None or seconds >= self.first) and (
            self.end is None or seconds < self.end
        )


Write = Callable[[Any], Iterator["Packet[Any]"]]


def join(
    info: VideoInfo,
    plan: StreamPlan,
    work: WorkFolder,
    segments: Sequence[Segment],
    settings: EncoderSettings,
    times: OutputTimes,
    target: Path,
) -> None:
    """Write the output file.

    Args:
        info: Of the input.
        plan: What becomes of the input's streams.
        work: Where the segments are.
        segments: All of them, in order.
        settings: How they were encoded.
        times: What of the input is taken.
        target: The file; it is there in whole or not at all.

    Raises:
        BadSetting: The container does not take what is put into it.
    """
    unfinished = target.with_name(f"{target.name}.part")
    muxer = CONTAINERS[target.suffix.lower()]
    options = {"fflags": "+bitexact"}
    if muxer in {"mp4", "mov"}:
        options["movflags"] = "+faststart"  # plays while it loads
    try:
        with (
            open_video(info.path) as source,
            av.open(str(unfinished), "w", format=muxer, options=options) as output,
        ):
            _Join(info, source, output, work, segments, settings, times).write(plan)
    except FFmpegError as error:
        unfinished.unlink(missing_ok=True)
        message = f"{target.name}: {muxer} does not take these streams: {error.strerror}"
        raise BadSetting(message, option="OUTPUT") from error
    unfinished.replace(target)


@dataclass
class _Join:
    """One output on its way."""

    info: VideoInfo
    source: InputContainer
    output: OutputContainer
    work: WorkFolder
    segments: Sequence[Segment]
    settings: EncoderSettings
    times: OutputTimes
    writers: dict[int, Write] = field(default_factory=dict)

    def write(self, plan: StreamPlan) -> None:
        """Write header, packets in the order of their times, and trailer."""
        self.output.metadata.update(_own(self.source.metadata))
        self.output.set_chapters(list(self._cut_chapters()))
        with av.open(str(self.work.packets_path(self.segments[0].number))) as template:
            for kept in plan.kept:
                given = self.source.streams[kept.index]
                if kept.action is Action.UPSCALE:
                    video = self.output.add_stream_from_template(
                        template.streams.video[0], opaque=True
                    )
                    video.time_base = self.settings.base
                    _describe(video, given)
                else:
                    self._add(kept, given)
        ready = self._upscaled(video)
        waiting = next(ready, None)
        for packet in self._others():
            while waiting is not None and _second(waiting) <= _second(packet):
                self.output.mux(waiting)
                waiting = next(ready, None)
            self.output.mux(packet)
        while waiting is not None:
            self.output.mux(waiting)
            waiting = next(ready, None)

    def _add(self, kept: KeptStream, given: Stream) -> None:
        """Add a stream of the output and what writes it."""
        if isinstance(given, AttachmentStream):
            kind = given.mimetype or "application/octet-stream"
            self.output.add_attachment(given.name or "attachment", kind, given.data)
            return
        if kept.action is Action.ENCODE:
            assert kept.codec and isinstance(given, AudioStream)
            encoder = AudioEncoder(given, self.output, kept.codec)
            _describe(encoder.stream, given)
            self.writers[given.index] = encoder.encode
            return
        if kept.action is Action.CONVERT:
            assert kept.codec and isinstance(given, SubtitleStream)
            self._convert(given, kept.codec)
            return
        copied = self.output.add_stream_from_template(given, opaque=True)
        _describe(copied, given)

        def copy(packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
            if packet.size:
                packet.stream = copied
                yield packet

        self.writers[given.index] = copy

    def _convert(self, given: SubtitleStream, codec: str) -> None:
        """Add subtitles as another form of text."""
        reading = given.codec_context
        reading.open(strict=False)
        made = self.output.add_stream(codec)
        assert isinstance(made, SubtitleStream)
        made.codec_context.subtitle_header = reading.subtitle_header
        made.codec_context.time_base = Fraction(1, 1000)
        _describe(made, given)

        def convert(packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
            found = reading.decode2(packet) if packet.size else None
            if found is None or not found.rects:
                return
            text = made.codec_context.encode_subtitle(found)
            text.stream, text.time_base = made, packet.time_base
            text.pts = text.dts = packet.pts
            text.duration = packet.duration
            yield text

        self.writers[given.index] = convert

    def _upscaled(self, video: Stream) -> Iterator["Packet[Any]"]:
        """Yield the packets of all segments with their times."""
        starts = np.array([start for segment in self.segments for start in segment.starts])
        end = int(self.info.times.end)
        if self.times.end is not None:
            end = min(end, round(self.times.end / self.settings.base))
        ends = np.append(starts[1:], max(end, starts[-1] + 1))
        shift = round(self.times.origin / self.settings.base)
        starts, ends = starts - shift, ends - shift
        reordered = max(
            place - index for segment in self.segments for place, index in enumerate(segment.order)
        )
        decoded = _time_decoding(starts, int(ends[-1]), reordered)
        first = before = 0
        for segment in self.segments:
            for packet in read_packets(self.work.packets_path(segment.number)):
                shown = first + (packet.pts or 0) - SHIFT
                packet.stream, packet.time_base = video, self.settings.base
                packet.pts, packet.dts = int(starts[shown]), int(decoded[before])
                packet.duration = int(ends[shown] - starts[shown])
                before += 1
                if before == len(starts):  # MP4 takes it for the time until the track ends
                    packet.duration = int(decoded[before] - decoded[before - 1])
                yield packet
            first += len(segment.starts)

    def _others(self) -> Iterator["Packet[Any]"]:
        """Yield the packets of the other streams that are inside, in the file's order."""
        for packet in self.source.demux():
            write = self.writers.get(packet.stream_index)
            if write is None:
                continue
            if packet.size and packet.pts is not None:
                second = packet.pts * packet.time_base
                if not self.times.holds(second):
                    continue
                if self.times.end is not None and packet.duration:
                    rest = int((self.times.end - second) / packet.time_base)
                    packet.duration = min(packet.duration, rest)
                shift = round(self.times.origin / packet.time_base)
                packet.pts -= shift
                packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            yield from write(packet)

    def _cut_chapters(self) -> Iterator[Any]:
        """Yield the chapters that are inside, at least in part."""
        for chapter in self.source.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            first, end = chapter["start"] * base, chapter["end"] * base
            if self.times.first is not None and end <= self.times.first:
                continue
            if self.times.end is not None and first >= self.times.end:
                continue
            shifted = [
                max(0, round((second - self.times.origin) / base))
                for second in (first, end if self.times.end is None else min(end, self.times.end))
            ]
            yield {**chapter, "start": shifted[0], "end": shifted[1]}


def _time_decoding(starts: NDArray[np.int64], end: int, reordered: int) -> NDArray[np.int64]:
    """Return when packets are decoded, and when decoding ends.

    A packet is decoded when the frame is shown that is `reordered` places before it; the first
    ones as long before the first frame as the last frames are before the end, so that decoding
    takes as long as playing, which is how MP4 counts.

    Args:
        starts: (n,) when frames are shown, ascending.
        end: When the last one has been.
        reordered: The most places that a packet comes after its turn.

    Returns:
        (n + 1,) ascending times, none after its packet's frame is shown.
    """
    ahead = min(reordered, len(starts))
    last = starts[len(starts) - ahead :]
    leading = starts[0] - (end - last)
    following = starts[: len(starts) - ahead]
    final = starts[len(starts) - ahead] if ahead else end
    return np.concatenate([leading, following, [final]])


def _describe(made: Stream, given: Stream) -> None:
    """Copy what a stream says of itself: language, title, whether it is the default."""
    made.metadata.update(_own(given.metadata))
    made.disposition = given.disposition


def _own(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that are still true of the output."""
    return {
        name: value
        for name, value in tags.items()
        if name.lower().split("-")[0] not in _OWN_TAGS and not name.startswith("_STATISTICS")
    }


def _second(packet: "Packet[Any]") -> Fraction:
    """Return when a packet is decoded."""
    time = packet.pts if packet.dts is None else packet.dts
    return (time or 0) * packet.time_base
