"""Images as files: which ones an argument names, where their answers go, and how these appear."""

import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from superres.codecs.encode import FORMATS, Format, find_format
from superres.dataset.sources import ENDINGS, is_image
from superres.errors import BadImage, BadOption, SuperresError

_STREAM = "-"  # standard input or output, as an argument
_MADE = re.compile(r"\.(x[1-9]|upscaled|restored)$")  # ends the stem of what an earlier run wrote


class TargetTaken(SuperresError):
    """A file that would be written is there already."""

    code = "TARGET_TAKEN"


@dataclass(frozen=True)
class InputFile:
    """An image to read: a file, or standard input where `path` is None."""

    path: Path | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard input" if self.path is None else str(self.path)

    def read(self, most: int) -> bytes:
        """Its bytes, but no more than one beyond `most`. Raises OSError."""
        if self.path is None:
            return sys.stdin.buffer.read(most + 1)
        with self.path.open("rb") as stream:
            return stream.read(most + 1)


def list_inputs(argument: str) -> list[InputFile]:
    """Return the images that one argument names: itself, or those directly in a folder, by name.

    A folder's images are known by their endings; hidden files, folders inside and what an earlier
    run left there (photo.x3.png) are not among them. Raises BadImage where a folder has none.
    """
    if argument == _STREAM:
        return [InputFile(None)]
    path = Path(argument)
    if not path.is_dir():
        return [InputFile(path)]
    found = sorted(child for child in path.iterdir() if _is_image(child))
    if not found:
        endings = ", ".join(sorted(ENDINGS))
        raise BadImage(f"no images directly in this folder: expected files ending in {endings}")
    return [InputFile(child) for child in found]


def _is_image(path: Path) -> bool:
    """Return whether a file in a folder is meant when the folder is."""
    known = is_image(path.name)
    hidden = path.name.startswith(".")
    return known and not hidden and not _MADE.search(path.stem) and path.is_file()


@dataclass(frozen=True)
class Destination:
    """Where the images of one run go: beside each input (`output` None), into a folder, into one
    file, or to standard output (`output` is STREAM).
    """

    output: str | None
    folder: bool
    image_format: Format | None  # for all; None leaves each in its own

    def is_stream(self, inputs: Sequence[str]) -> bool:
        """Return whether an answer to `inputs` goes to standard output."""
        return self.output == _STREAM or (self.output is None and _STREAM in inputs)

    def prepare(self) -> None:
        """Make the folder that --output names, where it names one. Raises OSError."""
        if self.folder and self.output is not None:
            Path(self.output).mkdir(parents=True, exist_ok=True)

    def format_for(self, own: str) -> Format:
        """Return the format of an answer to an image whose own would be called `own`."""
        return self.image_format or FORMATS[own]

    def target(self, source: InputFile, made: Format, mark: str) -> Path | None:
        """Return the file for the answer to `source`, e.g. photo.x3.png for the mark "x3"; None is
        standard output.
        """
        if self.output == _STREAM or (self.output is None and source.path is None):
            return None
        if self.output is not None and not self.folder:
            return Path(self.output)
        origin = source.path or Path("stdin")
        folder = origin.parent if self.output is None else Path(self.output)
        return folder / f"{origin.stem}.{mark}.{_choose_ending(origin, made)}"


def list_endings(made: Format) -> tuple[str, ...]:
    """Return the endings of a format's files, the usual one first."""
    usual = {"jpeg": "jpg"}.get(made.name, made.name)
    return tuple(dict.fromkeys((usual, made.name, *made.names)))


def _choose_ending(origin: Path, made: Format) -> str:
    """Return the ending for a file of a format: the input's own where that fits, in lower case."""
    own, endings = origin.suffix[1:].lower(), list_endings(made)
    return own if own in endings else endings[0]


def choose_destination(inputs: Sequence[str], output: str | None, named: str | None) -> Destination:
    """Return where the answers to `inputs` go, from --output and --format. Raises BadOption."""
    image_format = None if named is None else find_format(named)
    if inputs.count(_STREAM) > 1:
        raise BadOption("INPUT", _STREAM, "standard input once")
    many = len(inputs) > 1 or Path(inputs[0]).is_dir()
    if output is None or output == _STREAM:
        if many and (output or _STREAM in inputs):
            raise BadOption("--output", output, "a folder, for several images")
        return Destination(output, False, image_format)
    path = Path(output)
    if path.is_dir() or many or output.endswith(("/", os.sep)):
        if path.exists() and not path.is_dir():
            raise BadOption("--output", output, "a folder, for several images")
        return Destination(output, True, image_format)
    return Destination(output, False, _resolve_format(path, image_format))


def _resolve_format(path: Path, asked: Format | None) -> Format | None:
    """Return the format that the ending of `path` and --format agree on. Raises BadOption."""
    written = path.suffix[1:].lower()
    named = next((f for f in FORMATS.values() if written in (f.name, *f.names)), None)
    if named and asked and named is not asked:
        raise BadOption("--format", asked.name, f"{named.name}, as --output {path} says")
    if written and not named and not asked:
        raise BadOption("--output", str(path), f"an ending among {', '.join(FORMATS)}, or --format")
    return asked or named


def check_target(target: Path | None, force: bool) -> None:
    """Raise TargetTaken where `target` exists and may not be replaced, or lies in no folder."""
    if target is None:
        return
    if target.is_dir() or not target.parent.is_dir():
        kind = "is a folder" if target.is_dir() else f"cannot be written: no folder {target.parent}"
        raise TargetTaken(f"{target} {kind}")
    if not force and os.path.lexists(target):
        raise _make_taken_error(target)


def _make_taken_error(target: Path) -> TargetTaken:
    """Return the error for a file that stays as it is."""
    return TargetTaken(f"{target} exists already: --force replaces it")


def write_output(target: Path | None, data: bytes, force: bool) -> None:
    """Write a file all at once, or not at all; to standard output where `target` is None.

    Raises TargetTaken where the file exists, even since a moment ago, unless `force`.
    """
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if force:
            part.replace(target)
        else:
            _publish_file(part, target)
    finally:
        part.unlink(missing_ok=True)


def _publish_file(part: Path, target: Path) -> None:
    """Give the finished `part` the name `target` unless somebody has it. Raises TargetTaken."""
    try:
        target.hardlink_to(part)  # unlike a rename, it never replaces
    except FileExistsError as error:
        raise _make_taken_error(target) from error
    except OSError:  # a file system without hard links
        check_target(target, force=False)
        part.replace(target)
