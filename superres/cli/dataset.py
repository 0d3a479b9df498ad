"""`superres upscale --dataset`: a data set of images enlarged, with what lies beside them."""

import sys
from collections.abc import Mapping
from pathlib import Path

from superres.cli.batch import FileJob
from superres.cli.paths import list_endings
from superres.cli.values import describe_error
from superres.codecs.decode import DEFAULT_LIMITS, READERS
from superres.codecs.encode import FORMATS, find_format
from superres.codecs.sniff import sniff_format
from superres.dataset.enlarging import EnlargedFile, enlarge_set

__all__ = ["tell_failure", "upscale_set"]


def upscale_set(
    source: Path,
    target: Path,
    job: FileJob,
    image_format: str | None,
    settings: Mapping[str, str | None],
    restart: bool,
) -> int:
    """Enlarge a data set; print how many images there are.

    Args:
        source: Its folder.
        target: The folder that is written.
        job: What is done with an image.
        image_format: Of all images; None leaves each in its own.
        settings: What a run that goes on must have in common.
        restart: Whether to begin anew.

    Returns:
        How many images failed.

    Raises:
        BadOption: A folder or the format is wrong.
    """
    chosen = None if image_format is None else find_format(image_format)

    def enlarge(data: bytes, name: str) -> EnlargedFile:
        made = chosen or FORMATS[READERS[sniff_format(data, DEFAULT_LIMITS)].answer]
        endings = tuple(f".{ending}" for ending in list_endings(made))
        return EnlargedFile(job.enlarge(data, name, made), endings)

    done = enlarge_set(source, target, enlarge, settings, tell_failure, restart=restart)
    sys.stdout.write(
        f"{target}: {done.made} images enlarged, {done.kept} there before, {done.failed} failed, "
        f"{done.copied} other files copied\n"
    )
    return done.failed


def tell_failure(name: str, error: Exception) -> None:
    """Print what failed, in one line."""
    sys.stderr.write(f"{name}: {describe_error(error)}\n")
