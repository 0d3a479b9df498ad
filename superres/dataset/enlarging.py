"""A data set enlarged: images become larger ones of the same names, labels beside are kept."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from superres.codecs.decode import DEFAULT_LIMITS
from superres.dataset.manifest import Manifest, Record
from superres.dataset.pair_files import add_member, open_archive
from superres.dataset.sources import (
    DatasetFile,
    check_apart,
    check_unique,
    is_image,
    list_files,
    read_members,
)
from superres.errors import SuperresError, concerns_all
from superres.whole_file import open_whole, write_whole

__all__ = ["Enlarge", "EnlargedFile", "EnlargedSet", "enlarge_set"]

_MOST_BYTES = 2**31  # of a file that is copied


class EnlargedFile(NamedTuple):
    """An image file and the endings that such files have, the usual one first."""

    data: bytes
    endings: tuple[str, ...]


Enlarge = Callable[[bytes, str], EnlargedFile]
"""Enlarges an image, of its bytes and name."""


class EnlargedSet(NamedTuple):
    """How many images are new, were there before and failed; how many other files were copied."""

    made: int
    kept: int
    failed: int
    copied: int


class _SampleFailed(Exception):
    """An image in an archive has failed, which was told."""


class _Run:
    """One run: what it counts, and what it does with a file."""

    def __init__(self, enlarge: Enlarge, tell: Callable[[str, Exception], None]) -> None:
        self.enlarge, self.tell = enlarge, tell
        self.made = self.kept = self.failed = self.copied = 0

    @contextmanager
    def tolerate(self, name: str) -> Iterator[None]:
        """Count and tell what fails inside, unless it concerns the whole run."""
        try:
            yield
        except _SampleFailed:
            pass
        except (SuperresError, OSError, MemoryError) as error:
            if concerns_all(error):
                raise
            self.failed += 1
            self.tell(name, error)

    def enlarge_one(self, file: DatasetFile, shown: str) -> tuple[str, bytes]:
        """Return the name and the bytes of the answer to an image."""
        enlarged = self.enlarge(file.read(DEFAULT_LIMITS.max_bytes), shown)
        suffix = PurePosixPath(file.name).suffix
        fits = suffix.lower() in enlarged.endings
        return file.name if fits else file.key + enlarged.endings[0], enlarged.data

    def enlarge_archive(self, source: Path, target: Path, shown: str) -> Record:
        """Write a tar archive with larger images. Raises _SampleFailed where one fails."""
        failed, images, copied = self.failed, 0, 0
        with open_whole(target) as stream, open_archive(stream) as archive:
            for member in read_members(source):
                if not is_image(member.name):
                    add_member(archive, member.name, member.read(_MOST_BYTES))
                    copied += 1
                    continue
                with self.tolerate(f"{shown}/{member.name}"):
                    add_member(archive, *self.enlarge_one(member, f"{shown}/{member.name}"))
                    images += 1
            if self.failed > failed:
                raise _SampleFailed
        self.made, self.copied = self.made + images, self.copied + copied
        return {"images": images, "copied": copied}


def enlarge_set(
    source: Path,
    target: Path,
    enlarge: Enlarge,
    settings: Mapping[str, Any],
    tell: Callable[[str, Exception], None],
    *,
    restart: bool = False,
) -> EnlargedSet:
    """Enlarge every image of a data set; what is there already is kept.

    Args:
        source: A folder; tar archives in it are read and written as such.
        target: A folder of the same structure; files that are no images are copied.
        enlarge: Makes an image file of another.
        settings: What a run that goes on must have in common, in JSON's types.
        tell: Called with the name and the error of each image that fails. An archive with one is
            not written: its samples belong together.
        restart: Whether to make everything anew.

    Returns:
        The numbers of files.

    Raises:
        BadOption: `source` is no folder, two images would have one name, or `target` holds what
            other settings made.
    """
    check_apart(source, target)
    files = list_files(source)
    check_unique(f"{file.key}.*" if is_image(file.name) else file.name for file in files)
    run = _Run(enlarge, tell)
    with Manifest(target, {"made": "enlarged", **settings}, restart) as manifest:
        for file in files:
            if file.name in manifest.records:
                run.kept += int(manifest.records[file.name].get("images", 0))
                continue
            with run.tolerate(file.name):
                record = _write_answer(run, file, source, target)
                manifest.add([{"name": file.name, **record}])
    return EnlargedSet(run.made, run.kept, run.failed, run.copied)


def _write_answer(run: _Run, file: DatasetFile, source: Path, target: Path) -> Record:
    """Write what becomes of a file and return its record."""
    if file.name.endswith(".tar"):
        return run.enlarge_archive(source / file.name, target / file.name, file.name)
    if not is_image(file.name):
        write_whole(target / file.name, file.read(_MOST_BYTES))
        run.copied += 1
        return {"copied": 1}
    name, data = run.enlarge_one(file, file.name)
    write_whole(target / name, data)
    run.made += 1
    return {"file": name, "images": 1}
