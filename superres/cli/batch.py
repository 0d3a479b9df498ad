"""Many images, one after the other: what fails is told in one line and harms no other."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from superres.cli.client import Server
from superres.cli.paths import (
    Destination,
    InputFile,
    TargetTaken,
    check_target,
    list_inputs,
    write_output,
)
from superres.cli.values import describe_error
from superres.codecs.decode import DEFAULT_LIMITS, READERS, decode
from superres.codecs.encode import Format
from superres.codecs.sniff import sniff_format
from superres.errors import SuperresError, concerns_all
from superres.image.size_expression import SizeExpression

if TYPE_CHECKING:
    from superres.faces.enhancer import FaceEnhancer
    from superres.inference.result import Progress
    from superres.inference.upscaler import Upscaler

_UNKNOWN_SCALE = "upscaled"  # marks what a server's default or --scale made
_RESTORED = "restored"  # marks what kept its size


class RunOptions(NamedTuple):
    """The options of a run that change pixels or files; None leaves a choice to the model."""

    scale: SizeExpression | None
    quality: int
    tile: int
    keep_metadata: bool
    png_compression: int | None = None
    face_enhance: bool = False
    face_strength: float | None = None
    restore: tuple[str, ...] = ()
    strength: float = 1.0


class FileJob(NamedTuple):
    """`enlarge` makes a file of a format from an image's bytes and name; `mark` goes into the
    names of the files it makes, as in photo.x3.png.
    """

    enlarge: Callable[[bytes, str, Format], bytes]
    mark: str


def upscale_here(
    upscaler: "Upscaler", wanted: RunOptions, faces: "FaceEnhancer | None" = None
) -> FileJob:
    """Return the work done by a model on this machine, with a bar on a terminal."""
    from superres.codecs.png.writer import DEFAULT_COMPRESSION
    from superres.pipeline import OutputOptions, upscale

    def enlarge(data: bytes, name: str, made: Format) -> bytes:
        options = OutputOptions(
            made,
            wanted.scale,
            wanted.quality,
            DEFAULT_COMPRESSION if wanted.png_compression is None else wanted.png_compression,
            wanted.tile,
            keep_metadata=wanted.keep_metadata,
            face_strength=1.0 if wanted.face_strength is None else wanted.face_strength,
        )
        with _show_progress(name) as progress:
            answer = upscale(decode(data), upscaler, options, progress=progress, faces=faces)
        return answer.encoded.data

    keeps_size = upscaler.spec.scale == 1
    mark = _RESTORED if keeps_size else f"x{upscaler.spec.scale}"
    return FileJob(enlarge, _UNKNOWN_SCALE if wanted.scale else mark)


def upscale_remotely(server: Server, model: str | None, wanted: RunOptions) -> FileJob:
    """Return the work done by a server, by its default model where `model` is None."""
    options = {
        "model": model,
        "scale": wanted.scale.text if wanted.scale else None,
        "quality": wanted.quality,
        "png_compression": wanted.png_compression,
        "tile": wanted.tile or None,
        "keep_metadata": "true" if wanted.keep_metadata else None,
        "face_enhance": "true" if wanted.face_enhance else None,
        "face_strength": wanted.face_strength,
        "restore": ",".join(wanted.restore) or None,
        "strength": None if wanted.strength == 1 else wanted.strength,
    }

    def enlarge(data: bytes, name: str, made: Format) -> bytes:
        asked = options | {"image_format": made.name}
        if not sys.stderr.isatty():
            return server.upscale(data, asked)
        with _show_progress(name) as progress:
            return server.upscale(data, asked, progress)

    return FileJob(enlarge, _UNKNOWN_SCALE)


@contextmanager
def _show_progress(name: str) -> Iterator["Progress"]:
    """Show how many tiles of an image are done, if standard error is a terminal."""
    with tqdm(desc=name, unit="tile", file=sys.stderr, disable=None, leave=False) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield progress


@dataclass
class Run:
    """One call of the command: what is done with every image, and what came of it so far."""

    work: FileJob
    destination: Destination
    force: bool
    written: set[Path] = field(default_factory=set)
    failed: int = 0

    def upscale_all(self, arguments: Iterable[str]) -> int:
        """Upscale all; return how many images failed. Raises what every further image would
        meet as well.
        """
        for argument in arguments:
            with self.tolerate(argument):
                for source in list_inputs(argument):
                    with self.tolerate(source.name):
                        self.upscale_one(source)
        return self.failed

    @contextmanager
    def tolerate(self, name: str) -> Iterator[None]:
        """Count a failure inside and tells it in one line, unless it concerns the whole run."""
        try:
            yield
        except (SuperresError, OSError, MemoryError) as error:
            if concerns_all(error):
                raise
            self.failed += 1
            sys.stderr.write(f"{name}: {describe_error(error)}\n")

    def upscale_one(self, source: InputFile) -> None:
        """Enlarges one image; the name of the file that was written goes to standard output."""
        data = source.read(DEFAULT_LIMITS.max_bytes)
        own = READERS[sniff_format(data, DEFAULT_LIMITS)].answer
        made = self.destination.format_for(own)
        target = self.destination.target(source, made, self.work.mark)
        if target in self.written:
            raise TargetTaken(f"{target} was just written for another image")
        self.destination.prepare()
        check_target(target, self.force)
        write_output(target, self.work.enlarge(data, source.name, made), self.force)
        if target is not None:
            self.written.add(target)
            sys.stdout.write(f"{target}\n")
            sys.stdout.flush()
