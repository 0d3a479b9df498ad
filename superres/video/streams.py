"""What becomes of a file's other streams: decided before any work, so that nothing is lost late."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream

from superres.errors import BadOption
from superres.video.probe import find_video, open_video
from superres.video.settings import VideoSettings
from superres.video.video_codecs import CONTAINERS

__all__ = ["Action", "KeptStream", "StreamPlan", "plan_streams"]

_TEXT = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}  # convert into one another
_SUBTITLES = {"matroska": {"subrip", "srt", "ass", "ssa", "webvtt", "dvdsub", "pgssub", "dvbsub"}}
_SUBTITLES |= {"mp4": {"mov_text", "dvdsub"}, "mov": {"mov_text"}, "webm": {"webvtt"}}
_TEXT_CODEC = {"matroska": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}
_AUDIO = {
    "mp4": {
        "aac",
        "mp3",
        "mp3float",
        "mp2",
        "ac3",
        "eac3",
        "opus",
        "flac",
        "alac",
        "dca",
        "truehd",
    },
    "webm": {"opus", "vorbis"},
}
_COVERS = {"mp4", "mov", "matroska"}
_ENCODERS = {"aac": "aac", "opus": "libopus", "flac": "flac"}


class Action(Enum):
    """What is done with a stream."""

    UPSCALE = "upscaled"
    COPY = "copied"
    CONVERT = "converted"  # from one form of text to another
    ENCODE = "encoded anew"
    ATTACH = "attached"


@dataclass(frozen=True)
class KeptStream:
    """A stream of the input, by its number, that goes into the output; `codec` where it changes."""

    index: int
    action: Action
    codec: str | None = None


@dataclass(frozen=True)
class StreamPlan:
    """The streams of the output in their order, and in words those that it does not get."""

    kept: tuple[KeptStream, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def plan_streams(source: Path, target: Path, settings: VideoSettings) -> StreamPlan:
    """Decide what becomes of each stream.

    Args:
        source: The file.
        target: What is to be written; its ending names the container.
        settings: `audio` and `subtitles` count.

    Returns:
        The plan.

    Raises:
        BadOption: The container holds no such stream, and nothing was said of it.
    """
    muxer = CONTAINERS[target.suffix.lower()]
    kept, dropped, notes = [], [], []
    with open_video(source) as container:
        main = find_video(container, source.name)
        for stream in container.streams:
            if stream.index == main.index:
                kept.append(KeptStream(stream.index, Action.UPSCALE))
                continue
            one = _plan_stream(stream, muxer, settings, target)
            if one is not None:
                kept.append(one)
                if one.action is Action.CONVERT:
                    notes.append(f"{_describe(stream)}: converted to {one.codec}")
            elif not _is_chapters(stream, container):
                dropped.append(_describe(stream))
    return StreamPlan(tuple(kept), tuple(dropped), tuple(notes))


def _plan_stream(
    stream: Stream, muxer: str, settings: VideoSettings, target: Path
) -> KeptStream | None:
    """Return what becomes of one stream; None where it is left out. Raises BadOption."""
    if stream.type == "audio":
        return _plan_audio(stream, muxer, settings, target)
    if stream.type == "subtitle":
        return _plan_subtitle(stream, muxer, settings, target)
    if stream.type == "attachment":
        return KeptStream(stream.index, Action.ATTACH) if muxer == "matroska" else None
    if stream.type == "video":
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        fits = muxer in _COVERS if is_cover else muxer != "webm"
        return KeptStream(stream.index, Action.COPY) if fits else None
    return None


def _plan_audio(
    stream: Stream, muxer: str, settings: VideoSettings, target: Path
) -> KeptStream | None:
    """Return what becomes of an audio stream. Raises BadOption."""
    if settings.audio == "none":
        return None
    if settings.audio == "copy":
        codec = _name_codec(stream)
        known = _AUDIO.get(muxer)
        if known is not None and codec not in known:
            better = "opus" if muxer == "webm" else "aac"
            allowed = f"{better} or none: {target.suffix} holds no audio {codec}"
            raise BadOption("--audio", "copy", allowed)
        return KeptStream(stream.index, Action.COPY)
    if muxer == "webm" and settings.audio != "opus":
        raise BadOption("--audio", settings.audio, "copy, opus or none in .webm")
    return KeptStream(stream.index, Action.ENCODE, _ENCODERS[settings.audio])


def _plan_subtitle(
    stream: Stream, muxer: str, settings: VideoSettings, target: Path
) -> KeptStream | None:
    """Return what becomes of subtitles: text is converted where it must. Raises BadOption."""
    if not settings.subtitles:
        return None
    codec = _name_codec(stream)
    muxer = "webm" if target.suffix.lower() == ".webm" else muxer
    if codec in _SUBTITLES[muxer]:
        return KeptStream(stream.index, Action.COPY)
    if codec in _TEXT:
        return KeptStream(stream.index, Action.CONVERT, _TEXT_CODEC[muxer])
    raise BadOption(
        "OUTPUT",
        target.name,
        f".mkv, or --no-subtitles: {target.suffix} holds no {codec} subtitles",
    )


def _describe(stream: Stream) -> str:
    """Name a stream for people."""
    language = f" ({stream.language})" if stream.language else ""
    return f"stream {stream.index}, {stream.type} {_name_codec(stream)}{language}"


def _name_codec(stream: Stream) -> str:
    """Return libavcodec's name of a stream's codec."""
    context: CodecContext | None = stream.codec_context  # PyAV has none where it does not know it
    return "of an unknown codec" if context is None else context.name


def _is_chapters(stream: Stream, container: InputContainer) -> bool:
    """Return whether a stream of data only repeats the chapters, as MP4 has them."""
    return stream.type == "data" and "mp4" in container.format.name and bool(container.chapters())
