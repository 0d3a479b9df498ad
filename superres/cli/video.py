"""`superres video`: videos enlarged on this machine."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from contract.restoration import FACES, find_preset_model
from superres.cli.paths import check_target
from superres.cli.values import check_at_least, describe_error, make_range
from superres.errors import BadOption, BadSetting, BadVideo, Misconfigured, SuperresError

if TYPE_CHECKING:
    from superres.image.frame import Frame
    from superres.inference.upscaler import Upscaler
    from superres.video.settings import VideoSettings
    from superres.video.upscaling import VideoProgress, VideoReport

__all__ = ["add_video"]

_AUDIO = ("copy", "aac", "opus", "flac", "none")
_CODECS = "h264, hevc, vp9, av1, prores or ffv1 (lossless)"
_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".ts", ".mpg", ".flv", ".wmv")
_PREVIEW_SECONDS = 5.0


def add_video(command: argparse.ArgumentParser) -> None:
    """Add the options of `video`."""
    add = command.add_argument
    add("paths", nargs="+", type=Path, metavar="INPUT… OUTPUT", help="as of cp: files or a folder")
    add("--model", help="or auto:fast, :balanced, :best; default: compact.photo-x4")
    add("--weights", type=Path, metavar="FILE", help="a weights file of your own instead")
    add("--scale", help='FFmpeg\'s "width:height", e.g. 1280:-1 or iw*2:ih*2; default: all of it')
    add("--codec", help=f"{_CODECS}; default: h264 or vp9, by OUTPUT; hevc or av1 beyond 8 bits")
    add("--crf", type=float, help="constant quality, 0 best; default: the codec's, near lossless")
    add("--preset", help="how long the encoder may take, e.g. fast; default: the codec's")
    add("--start", type=_read_seconds, default=Fraction(0), metavar="TIME", help="e.g. 90 or 1:30")
    add("--duration", type=_read_seconds, metavar="TIME", help="default: to the end")
    add("--denoise", type=make_range(0, 10), default=0.0, metavar="0..10", help="before the model")
    add("--restore", metavar="STEPS", help="as of `upscale`, e.g. deblock,upscale, but for faces")
    add("--strength", type=make_range(0, 1), default=1.0, metavar="0..1", help="as of `upscale`")
    add("--no-deinterlace", action="store_true", help="leave interlaced frames as they are")
    add(
        "--stabilise",
        type=make_range(0, 1),
        default=0.0,
        metavar="0..1",
        help="smooth the flicker of still areas; default: 0",
    )
    add(
        "--max-difference",
        type=int,
        default=0,
        metavar="LEVELS",
        help="frames that differ by so little, of 255, are computed once; default: 0",
    )
    add("--audio", choices=_AUDIO, default="copy", help="default: copy")
    add("--no-subtitles", action="store_true", help="leave them out")
    add("--allow-damaged", action="store_true", help="take what can be read of a broken file")
    add("--tile", type=int, default=0, help="edge in input pixels; default: chosen")
    add("--preview", type=Path, metavar="FILE", help="keep the newest frame in a PNG or JPEG")
    add("--part", type=_read_part, metavar="I/N", help="only these parts: for several machines")
    add("--restart", action="store_true", help="begin anew instead of going on")
    add("--force", action="store_true", help="replace files that exist")
    add("--device", default="auto", help="auto, cpu, cuda:N, or several: cuda:0,cuda:1")
    add("--offline", action="store_true", help="never download weights")
    command.set_defaults(run=upscale_videos)


def upscale_videos(given: argparse.Namespace) -> int:
    """Upscale every video; print the files that were written."""
    try:
        import av
    except ImportError as error:
        message = "videos need PyAV: pip install -r requirements-video.txt"
        raise BadSetting(message, option="video") from error
    # FFmpeg prints what it meets; what matters of it comes as an error.
    av.logging.set_level(av.logging.PANIC)
    settings = _read_settings(given)
    pairs = _pair(given.paths)
    upscalers, weights = _load(given)
    failed = 0
    for source, target in pairs:
        try:
            check_target(target, given.force)
            report = _upscale_one(source, target, upscalers, settings, weights, given)
            for line in _tell(source, report) if report else ():
                sys.stderr.write(f"{line}\n")
            if report is None or report.joined:
                sys.stdout.write(f"{target}\n")
                sys.stdout.flush()
        except (SuperresError, OSError, MemoryError) as error:
            if isinstance(error, Misconfigured) and len(pairs) == 1:
                raise
            failed += 1
            sys.stderr.write(f"{source}: {describe_error(error)}\n")
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: the same command goes on where it ended\n")
            raise
    return 1 if failed else 0


def _read_settings(given: argparse.Namespace) -> "VideoSettings":
    """Return the options as the engine takes them. Raises BadOption."""
    from superres.image.size_expression import SizeExpression
    from superres.video.settings import VideoSettings

    return VideoSettings(
        scale=None if given.scale is None else SizeExpression.parse(given.scale),
        codec=given.codec,
        crf=given.crf,
        preset=given.preset,
        start=given.start,
        duration=given.duration,
        denoise=given.denoise,
        deinterlace=not given.no_deinterlace,
        stabilise=given.stabilise,
        max_difference=check_at_least("--max-difference", given.max_difference, 0),
        audio=given.audio,
        subtitles=not given.no_subtitles,
        allow_damaged=given.allow_damaged,
        tile=check_at_least("--tile", given.tile, 0),
    )


def _load(given: argparse.Namespace) -> tuple[list["Upscaler"], str]:
    """Return the model on each device, and what names its weights. Raises BadOption."""
    from superres.cli.local_model import choose_model, explain_missing_packages, load_model
    from superres.cli.restoration import read_steps
    from superres.restoration.chained_model import Blending
    from superres.restoration.loading import chain_steps
    from superres.weights.download import compute_sha256
    from superres.weights.store import Store

    store = Store.from_environment(offline=given.offline or None)
    steps, blending = read_steps(given.restore), Blending(given.strength)
    if FACES in steps:
        raise BadOption("--restore", given.restore, "steps without faces, which would flicker")
    name = given.model or (None if given.weights else find_preset_model(given.restore))
    spec = choose_model(name, given.weights, store)
    with explain_missing_packages(spec):
        models = [
            load_model(spec, device, store, given.weights) for device in given.device.split(",")
        ]
    path = models[0].path
    digest = compute_sha256(path) if path.is_file() else ""
    if steps or given.strength < 1:  # part of what a run that goes on must have in common
        digest += f" {','.join(steps)} {given.strength}"
    return [chain_steps(model, steps, blending, store) for model in models], digest


def _pair(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return inputs and outputs: the last path is a file, or a folder for several. Raises
    BadOption.
    """
    *inputs, output = paths
    if not inputs:
        raise BadOption("INPUT… OUTPUT", str(output), "one or more inputs, and an output")
    sources = [video for path in inputs for video in _list_videos(path)]
    if output.is_dir():
        pairs = [(source, output / source.name) for source in sources]
    elif len(inputs) > 1 or inputs[0].is_dir():
        raise BadOption("OUTPUT", str(output), "a folder that exists, for several videos")
    else:
        pairs = [(sources[0], output)]
    targets = [target.resolve() for _, target in pairs]
    for source, target in pairs:
        if source.resolve() == target.resolve() or targets.count(target.resolve()) > 1:
            raise BadOption("OUTPUT", str(target), "a file that is no input, and only one output")
    return pairs


def _list_videos(path: Path) -> list[Path]:
    """Return a file, or the videos directly in a folder by name. Raises BadVideo."""
    if not path.is_dir():
        return [path]
    found = sorted(
        child
        for child in path.iterdir()
        if child.suffix.lower() in _ENDINGS and child.is_file() and not child.name.startswith(".")
    )
    if not found:
        raise BadVideo(f"{path}: no videos directly in this folder: expected {', '.join(_ENDINGS)}")
    return found


def _upscale_one(
    source: Path,
    target: Path,
    upscalers: Sequence["Upscaler"],
    settings: "VideoSettings",
    weights: str,
    given: argparse.Namespace,
) -> "VideoReport | None":
    """Upscale one video; None where it is an animation, which images know."""
    if source.suffix.lower() == target.suffix.lower() == ".gif":
        _animate(source, target, upscalers[0], settings, given.force)
        return None
    from superres.video.upscaling import Part, RunSettings, upscale_video

    part = None if given.part is None else Part(*given.part)

    with _show_progress(source.name, given.preview) as progress:
        return upscale_video(
            source,
            target,
            upscalers,
            settings,
            RunSettings(weights=weights, part=part, restart=given.restart),
            progress,
        )


def _animate(
    source: Path, target: Path, upscaler: "Upscaler", settings: "VideoSettings", force: bool
) -> None:
    """Upscale a GIF as an image is upscaled: its palette, transparency and loops are kept."""
    from superres.cli.batch import RunOptions, upscale_here
    from superres.cli.paths import write_output
    from superres.codecs.encode import FORMATS

    wanted = RunOptions(settings.scale, 95, settings.tile, keep_metadata=True)
    made = upscale_here(upscaler, wanted).enlarge(source.read_bytes(), source.name, FORMATS["gif"])
    write_output(target, made, force)


@contextmanager
def _show_progress(name: str, preview: Path | None) -> Iterator[Callable[["VideoProgress"], None]]:
    """Show frames done and the time left on a terminal, and write the preview."""
    shown_at = 0.0
    with tqdm(desc=name, unit="frame", file=sys.stderr, disable=None, leave=False) as bar:

        def show(progress: "VideoProgress") -> None:
            nonlocal shown_at
            if not bar.n and progress.done > 1:
                bar.initial = progress.done - 1  # resumed: not counted as work of this run
                bar.reset(progress.total)
                bar.update(progress.done - 1)
            bar.total = progress.total
            bar.update(progress.done - bar.n)
            if preview and progress.newest and time.monotonic() - shown_at > _PREVIEW_SECONDS:
                _write_preview(preview, progress.newest)
                shown_at = time.monotonic()

        yield show


def _write_preview(path: Path, frame: "Frame") -> None:
    """Write a frame as an image."""
    from superres.cli.paths import write_output
    from superres.codecs.encode import encode, find_format
    from superres.image.frame import Image

    image_format = find_format(path.suffix[1:])
    write_output(path, encode(Image((frame,), "png"), image_format).data, force=True)


def _tell(source: Path, report: "VideoReport") -> Iterator[str]:
    """Yield what is to be said of a video, a line each."""
    share = f", {report.reused} of them equal to the one before" if report.reused else ""
    resumed = f", {report.resumed} from an earlier run" if report.resumed else ""
    yield (
        f"{source}: {report.frames} frames{share}{resumed}; {report.input_size} to "
        f"{report.output_size} pixels, {report.codec} {report.pixel_format}"
    )
    for note in report.notes:
        yield f"{source}: {note}"
    for dropped in report.dropped:
        yield f"{source}: not in the output: {dropped}"
    if not report.joined:
        yield f"{source}: this part is done; the same command without --part joins all"


def _read_seconds(text: str) -> Fraction:
    """Read a time as seconds or [hours:]minutes:seconds."""
    try:
        parts = [Fraction(part) for part in text.split(":")]
    except (ValueError, ZeroDivisionError):
        parts = []
    if not 1 <= len(parts) <= 3 or min(parts) < 0:
        raise argparse.ArgumentTypeError(f'"{text}": expected seconds, 1:30 or 1:02:03.5')
    seconds = Fraction(0)
    for part in parts:
        seconds = seconds * 60 + part
    return seconds


def _read_part(text: str) -> tuple[int, int]:
    """Read which part of how many."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f'"{text}": expected e.g. 1/4 to 4/4')
    return int(number), int(of)
