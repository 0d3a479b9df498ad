"""One video from file to file: probe, plan, upscale segment by segment, join."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av

from superres.errors import BadOption, TooLarge
from superres.geometry import Size
from superres.image.frame import Frame
from superres.inference.upscaler import Upscaler
from superres.video.colour import Converter
from superres.video.enlarger import EnlargedFrame, FrameEnlarger, round_to_even
from superres.video.frames import FrameReader, TimedFrame
from superres.video.join import OutputTimes, join
from superres.video.probe import Times, VideoInfo, probe
from superres.video.segments import EncoderSettings, Segment, WorkFolder
from superres.video.settings import DEFAULT_LIMITS, VideoLimits, VideoSettings
from superres.video.stabiliser import Stabiliser
from superres.video.streams import StreamPlan, plan_streams
from superres.video.video_codecs import PixelNeeds, choose_codec

__all__ = ["Part", "RunSettings", "VideoProgress", "VideoReport", "upscale_video"]

_HASHED_BYTES = 2**20  # at either end of the input, to know it again


class Part(NamedTuple):
    """A share of the segments, for machines that work on one video together: 1 of 4 … 4 of 4."""

    number: int
    of: int


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How one run goes about a video.

    `weights` names the model's weights, so that no output is made by two; `part` leaves the other
    segments to other runs, and the file to one without it; `restart` drops what was made under
    the output's name of something else.
    """

    weights: str = ""
    limits: VideoLimits = DEFAULT_LIMITS
    part: Part | None = None
    restart: bool = False


@dataclass(frozen=True)
class VideoProgress:
    """How far a video is: frames done of those there are, and the newest one made."""

    done: int
    total: int
    newest: Frame | None


@dataclass(frozen=True, kw_only=True)
class VideoReport:
    """What was made: `reused` frames equal the one before, `resumed` were there already.

    `dropped` names streams that the output has not, `notes` what else differs from the input.
    `joined` says whether the file is written: not yet, where other parts are missing.
    """

    frames: int
    input_size: Size
    output_size: Size
    codec: str
    pixel_format: str
    reused: int
    resumed: int
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    joined: bool


def upscale_video(
    source: Path,
    target: Path,
    upscalers: Sequence[Upscaler],
    settings: VideoSettings,
    run: RunSettings = RunSettings(),
    progress: Callable[[VideoProgress], None] = lambda progress: None,
) -> VideoReport:
    """Upscale a video, keeping its times, audio, subtitles, chapters and tags.

    Args:
        source: The input.
        target: The output: .mp4, .m4v, .mov, .mkv or .webm. Until it is written, its parts are in
            the folder of that name and .superres, where a later call goes on.
        upscalers: One model, once for each device that takes part.
        settings: What is asked for.
        run: What does not change the output.
        progress: Called after every frame; an error it raises ends the work.

    Returns:
        What was made.

    Raises:
        BadVideo: The input is no whole video.
        BadOption: An option is wrong for this input.
        TooLarge: The input is beyond a limit.
        BadSetting: The codec or the container refuses.
    """
    part = run.part
    info = probe(source, run.limits, settings.allow_damaged)
    job = _Job.plan(info, target, upscalers, settings, run.limits)
    if part is not None and settings.stabilise:
        raise BadOption("--part", f"{part.number}/{part.of}", "no --stabilise beside it")
    work = WorkFolder(
        target.with_name(f"{target.name}.superres"),
        job.describe(upscalers[0].spec.name, run.weights),
        run.restart,
    )
    segments, resumed = job.run(work, progress, part)
    made = [segment for segment in segments if segment is not None]
    if len(made) == len(segments) and part is None:
        join(info, job.streams, work, made, job.encoder, job.output_times, target)
        work.remove()
    return job.report(made, resumed, joined=len(made) == len(segments) and part is None)


@dataclass(eq=False)
class _Job:
    """One video's upscaling: what was found and decided before the first frame."""

    info: VideoInfo
    settings: VideoSettings
    upscalers: Sequence[Upscaler]
    times: Times
    streams: StreamPlan
    encoder: EncoderSettings
    converter: Converter

    @classmethod
    def plan(
        cls,
        info: VideoInfo,
        target: Path,
        upscalers: Sequence[Upscaler],
        settings: VideoSettings,
        limits: VideoLimits,
    ) -> "_Job":
        """Decide everything. Raises BadOption or TooLarge."""
        codec = choose_codec(settings.codec, target, info.needs)
        options = codec.make_options(settings.crf, settings.preset)
        pixel_format = codec.choose_format(info.needs)
        size = info.shown_size
        largest = size.times(upscalers[0].spec.scale)
        if largest.pixels > limits.output_pixels:
            raise TooLarge(
                f"{info.path.name}: frames of {size} become {largest} pixels: at most "
                f"{limits.output_pixels} pixels are allowed",
                code="OUTPUT_PIXELS",
            )
        wanted = settings.scale.bounded(size, largest) if settings.scale else largest
        even = wanted if PixelNeeds.of(pixel_format).chroma == 4 else round_to_even(wanted)
        times = info.times.cut(settings.start, settings.duration)
        if not len(times.starts):
            allowed = f"a time before the end, at {info.times.seconds:.2f} seconds"
            raise BadOption("--start", float(settings.start), allowed)
        # As FFmpeg's scale: what is shown keeps its shape, whatever becomes of the pixels.
        aspect = info.aspect * Fraction(wanted.height * size.width, wanted.width * size.height)
        encoder = EncoderSettings(
            codec=codec,
            options=options,
            size=even,
            rate=info.rate.limit_denominator(100_000),
            base=info.times.base,
            aspect=aspect.limit_denominator(1000),
        )
        streams = plan_streams(info.path, target, settings)
        converter = Converter(info.colour, pixel_format)
        return cls(info, settings, upscalers, times, streams, encoder, converter)

    @property
    def output_times(self) -> OutputTimes:
        """What of the input goes into the output, and when."""
        if not self.settings.start and self.settings.duration is None:
            return OutputTimes()
        base = self.info.times.base
        first = int(self.info.times.starts[0]) * base + self.settings.start
        duration = self.settings.duration
        return OutputTimes(first, first, None if duration is None else first + duration)

    def describe(self, model: str, weights: str) -> dict[str, Any]:
        """Return all that the output depends on, as JSON."""
        asked = {name: _jsonable(value) for name, value in vars(self.settings).items()}
        return {
            **asked,
            "input": _identify(self.info.path),
            "model": model,
            "weights": weights,
            "codec": self.encoder.codec.name,
            "options": dict(self.encoder.options),
            "size": f"{self.encoder.size}",
            "pixel format": self.converter.output_format,
            "PyAV": av.__version__,
        }

    def run(
        self, work: WorkFolder, progress: Callable[[VideoProgress], None], part: Part | None
    ) -> tuple[list[Segment | None], int]:
        """Make the segments that are missing. Return all, None for those of other parts; and how
        many frames were there already.
        """
        bounds = [int(start) for start in self.times.starts[:: self.settings.segment_frames]]
        end = self.times.starts[-1] + 1 if self.settings.duration is not None else None
        found = [work.find(number) for number in range(len(bounds))]
        if self.settings.stabilise:
            found = _keep_leading(found)
        resumed = done = sum(len(segment.starts) for segment in found if segment)
        missing = [
            number
            for number, segment in enumerate(found)
            if segment is None and (part is None or number % part.of == part.number - 1)
        ]
        if not missing:
            return found, resumed
        stabiliser = Stabiliser(self.settings.stabilise) if self.settings.stabilise else None
        if stabiliser and missing[0]:
            stabiliser.load(work.state_path(missing[0] - 1))
        enlarger = FrameEnlarger(
            self.upscalers,
            self.converter,
            self.info.orientation,
            self.settings.scale,
            self.encoder.size,
            self.settings.tile,
            self.settings.max_difference,
            stabiliser,
        )
        reader = FrameReader(self.info, self.settings)
        cutter = _FrameCutter(reader.read())
        total = len(self.times.starts)
        for number in missing:
            high = bounds[number + 1] if number + 1 < len(bounds) else end
            taken = cutter.take(bounds[number], high)
            before = enlarger.reused, reader.interlaced, reader.damaged, reader.moved

            def count(made: Iterator[EnlargedFrame]) -> Iterator[EnlargedFrame]:
                nonlocal done
                for enlarged in made:
                    yield enlarged
                    done += 1
                    progress(VideoProgress(done, max(total, done), enlarged.frame))

            segment = work.encode(
                number, count(enlarger.enlarge(taken)), self.encoder, self.converter
            )
            after = enlarger.reused, reader.interlaced, reader.damaged, reader.moved
            reused, interlaced, damaged, moved = (b - a for a, b in zip(before, after, strict=True))
            notes = {"interlaced": interlaced, "damaged": damaged, "moved": moved}
            if stabiliser:
                stabiliser.save(work.state_path(number))
                with suppress(FileNotFoundError):
                    work.state_path(number - 1).unlink()
            segment = replace(segment, reused=reused, notes=notes)
            work.record(segment)
            found[number] = segment
        return found, resumed

    def report(self, made: Sequence[Segment], resumed: int, joined: bool) -> VideoReport:
        """Return what is to be said of the work."""
        notes = [*self.streams.notes]
        kept = PixelNeeds.of(self.converter.output_format)
        notes += self.info.needs.list_losses(kept)
        if self.settings.deinterlace and self.info.is_interlaced:
            notes.append("deinterlaced")
        counted = {
            "interlaced": "frames are interlaced and left so",
            "damaged": "places could not be decoded whole",
            "moved": "frames had no time of their own, or one before the last",
        }
        for name, text in counted.items():
            count = sum(segment.notes.get(name, 0) for segment in made)
            if count and not (name == "interlaced" and "deinterlaced" in notes):
                notes.append(f"{count} {text}")
        frames = sum(len(segment.starts) for segment in made)
        if frames < len(self.times.starts) and joined:
            notes.append(f"{len(self.times.starts) - frames} frames of the file are never shown")
        return VideoReport(
            frames=frames,
            input_size=self.info.shown_size,
            output_size=self.encoder.size,
            codec=self.encoder.codec.name,
            pixel_format=self.converter.output_format,
            reused=sum(segment.reused for segment in made),
            resumed=resumed,
            dropped=self.streams.dropped,
            notes=tuple(notes),
            joined=joined,
        )


class _FrameCutter:
    """Frames handed out segment by segment."""

    def __init__(self, frames: Iterator[TimedFrame]) -> None:
        self._frames = frames
        self._next: TimedFrame | None = None  # read, but of a later segment

    def take(self, low: int, high: int | None) -> Iterator[TimedFrame]:
        """Yield the frames shown from `low` until before `high`, dropping earlier ones."""
        frame = self._next or next(self._frames, None)
        while frame is not None and (high is None or frame.start < high):
            if frame.start >= low:
                yield frame
            frame = next(self._frames, None)
        self._next = frame


def _keep_leading(found: list[Segment | None]) -> list[Segment | None]:
    """Return segments up to the first one missing: what follows it depends on it."""
    whole = next((number for number, segment in enumerate(found) if segment is None), len(found))
    return [*found[:whole], *[None] * (len(found) - whole)]


def _identify(path: Path) -> dict[str, Any]:
    """Return what a file is known by again: its size, and a hash of both of its ends."""
    held = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        file.seek(max(0, held - _HASHED_BYTES))
        digest.update(file.read(_HASHED_BYTES))
    return {"name": path.name, "bytes": held, "sha256 of both ends": digest.hexdigest()}


def _jsonable(value: Any) -> Any:
    """Return an option's value as JSON has it."""
    if isinstance(value, Fraction):
        return str(value)
    return getattr(value, "text", value)
