"""The output in parts, each encoded by itself, so that finished ones outlive a crash.

A folder beside the output holds `job.json` (what is being made, of which file, by which model) and
two files for each segment: its packets, and a JSON of its frames that is written last. As every
segment is encoded alone, an output made in two runs equals one made in one.
"""

import json
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from superres.errors import BadOption, BadSetting
from superres.geometry import Size
from superres.video.colour import Converter
from superres.video.enlarger import EnlargedFrame
from superres.video.video_codecs import VideoCodec
from superres.weights.download import compute_sha256
from superres.whole_file import write_whole

__all__ = ["SHIFT", "EncoderSettings", "Segment", "WorkFolder", "read_packets"]

_MILLISECOND = Fraction(1, 1000)  # the unit of Matroska, which packets are kept in
SHIFT = 64  # so that no packet is shown before it is decoded: more than codecs reorder


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """How segments are encoded: `base` is the unit of frames' times, `aspect` that of a pixel."""

    codec: VideoCodec
    options: Mapping[str, str]
    size: Size
    rate: Fraction
    base: Fraction
    aspect: Fraction


@dataclass(frozen=True)
class Segment:
    """A finished segment: when its frames are shown, and their order in the file.

    `order` has the numbers of frames, from 0, as their packets follow one another.
    """

    number: int
    starts: list[int]
    order: list[int]
    sha256: str
    reused: int = 0
    notes: dict[str, int] = field(default_factory=dict)


class WorkFolder:
    """The folder of one job."""

    def __init__(self, folder: Path, job: Mapping[str, Any], restart: bool = False) -> None:
        """Make the folder, or go on with what is in it.

        Args:
            folder: Where the parts are kept.
            job: All that the output depends on, as JSON.
            restart: Drop the parts of another job.

        Raises:
            BadOption: The folder is another job's.
        """
        self.folder = folder
        said = json.dumps(job, indent=1, sort_keys=True)
        path = folder / "job.json"
        if path.exists() and path.read_text() != said:
            if not restart:
                before = json.loads(path.read_text())
                differing = sorted(key for key in job if before.get(key) != job[key])
                raise BadOption(
                    "OUTPUT",
                    folder.name,
                    f"the same {', '.join(differing)} as when it was begun, or --restart to drop "
                    "what is finished of it",
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_whole(path, said.encode())

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder)

    def packets_path(self, number: int) -> Path:
        """Name the file of a segment's packets."""
        return self.folder / f"{number:06}.mkv"

    def state_path(self, number: int) -> Path:
        """Name the file of what a Stabiliser knows after a segment."""
        return self.folder / f"{number:06}.npz"

    def find(self, number: int) -> Segment | None:
        """Return a segment that is finished and whole, None where there is none."""
        try:
            segment = Segment(**json.loads(self._record_path(number).read_text()))
            held = compute_sha256(self.packets_path(number))
        except (OSError, ValueError, TypeError):
            return None
        return segment if held == segment.sha256 else None

    def encode(
        self,
        number: int,
        frames: Iterable[EnlargedFrame],
        settings: EncoderSettings,
        converter: Converter,
    ) -> Segment:
        """Encode the frames of a segment, which is finished once `record` is called.

        Args:
            number: Of the segment.
            frames: To be encoded, with ascending times.
            settings: How.
            converter: Between RGB and the pixels that are encoded.

        Returns:
            The segment; its file is written.

        Raises:
            BadSetting: The encoder takes no such frames.
        """
        unfinished = self.packets_path(number).with_suffix(".part")
        starts: list[int] = []
        order: list[int] = []
        options = {"fflags": "+bitexact"}
        with av.open(str(unfinished), "w", format="matroska", options=options) as file:
            stream = _add_encoder(file, settings, converter)

            def keep(packets: Iterable["Packet[Any]"]) -> None:
                for packet in packets:
                    index = bisect_left(starts, packet.pts or 0)
                    packet.pts, packet.dts = index + SHIFT, len(order)
                    packet.duration, packet.time_base = 1, _MILLISECOND
                    order.append(index)
                    file.mux(packet)

            try:
                for enlarged in frames:
                    image = converter.write(enlarged.frame)
                    image.pts, image.time_base = enlarged.start, settings.base
                    starts.append(enlarged.start)
                    keep(stream.encode(image))
                keep(stream.encode(None))
            except FFmpegError as error:
                message = f"{settings.codec.encoder}, {settings.size} pixels: {error.strerror}"
                raise BadSetting(message, option="--codec") from error
        unfinished.replace(self.packets_path(number))
        return Segment(number, starts, order, compute_sha256(self.packets_path(number)))

    def record(self, segment: Segment) -> None:
        """Say that a segment is finished."""
        write_whole(self._record_path(segment.number), json.dumps(asdict(segment)).encode())

    def _record_path(self, number: int) -> Path:
        """Name the file that says that a segment is finished."""
        return self.folder / f"{number:06}.json"


def _add_encoder(
    file: OutputContainer, settings: EncoderSettings, converter: Converter
) -> VideoStream:
    """Add the stream whose packets are kept."""
    stream = file.add_stream(settings.codec.encoder, settings.rate, dict(settings.options))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = settings.size
    context.pix_fmt = converter.output_format
    context.time_base = settings.base
    context.sample_aspect_ratio = settings.aspect
    context.thread_type = "AUTO"
    converter.tag(context)
    return stream


def read_packets(path: Path) -> Iterator["Packet[Any]"]:
    """Yield the packets of a segment in the order of the file; their times are to be set."""
    with av.open(str(path), "r", format="matroska") as file:
        for packet in file.demux(video=0):
            if packet.size:
                yield packet
