"""The files of a data set: a folder with all that is in it, tar archives as WebDataset has them
included.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from superres.codecs.encode import FORMATS
from superres.errors import BadImage, BadOption

__all__ = [
    "ENDINGS",
    "DatasetFile",
    "check_apart",
    "check_unique",
    "is_image",
    "list_files",
    "list_images",
    "read_members",
]

ENDINGS = frozenset(
    {name for made in FORMATS.values() for name in (made.name, *made.names)}
    | {"ico", "ppm", "pgm", "pbm", "pnm"}
)
"""Endings of image files that are read, in lower case."""


class _Reader(Protocol):
    """What reads a file, but no more than one byte beyond `most`."""

    def __call__(self, most: int) -> bytes: ...


class DatasetFile(NamedTuple):
    """A file of a data set; `name` is its path in it, with "/" between folders."""

    name: str
    read: _Reader

    @property
    def key(self) -> str:
        """The name without its ending."""
        return str(PurePosixPath(self.name).with_suffix(""))


def is_image(name: str) -> bool:
    """Return whether a file is an image, by its ending."""
    return PurePosixPath(name).suffix[1:].lower() in ENDINGS


def list_files(folder: Path) -> list[DatasetFile]:
    """List the files in a folder and those inside it, by name; hidden ones are not among them.

    Args:
        folder: Of the data set.

    Returns:
        Files, tar archives as such.

    Raises:
        BadOption: It is no folder, or one inside cannot be read.
    """
    if not folder.is_dir():
        raise BadOption("INPUT", str(folder), "a folder")
    found: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder)
        found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return [DatasetFile(name, partial(_read_file, folder / name)) for name in sorted(found)]


def _raise(error: OSError) -> None:
    """Raise BadOption for a folder that `os.walk` would pass over in silence."""
    raise BadOption("INPUT", str(error.filename), "a folder that can be read") from error


def _read_file(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)


def list_images(folder: Path) -> Iterator[DatasetFile]:
    """Yield the images of a data set, those in tar archives included.

    Args:
        folder: Of the data set.

    Yields:
        DatasetFile: An image; one of shards/000.tar is called shards/000/name.jpg.

    Raises:
        BadOption: It is no folder, or has no images.
    """
    count = 0
    for file in list_files(folder):
        if file.name.endswith(".tar"):
            for member in _list_members(folder, file):
                count += 1
                yield member
        elif is_image(file.name):
            count += 1
            yield file
    if not count:
        endings = ", ".join(sorted(ENDINGS))
        raise BadOption("INPUT", str(folder), f"a folder with files ending in {endings}, or .tar")


def _list_members(folder: Path, file: DatasetFile) -> Iterator[DatasetFile]:
    """Yield the images in an archive; where it is damaged, a file that cannot be read."""
    try:
        for member in read_members(folder / file.name):
            if is_image(member.name):
                yield DatasetFile(f"{file.key}/{member.name}", member.read)
    except (BadImage, OSError) as error:
        yield DatasetFile(file.name, _make_refusal(error))


def _make_refusal(error: Exception) -> _Reader:
    def refuse(most: int) -> bytes:  # noqa: ARG001 # a reader's
        raise error

    return refuse


def read_members(path: Path) -> Iterator[DatasetFile]:
    """Yield the files of a tar archive in their order; each is to be read before the next.

    Args:
        path: Of the archive.

    Yields:
        DatasetFile: A file as it is called in there.

    Raises:
        BadImage: The archive is damaged or has a name that leads out of it.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield DatasetFile(_check_name(member.name, path), _read_member(archive, member))
    except tarfile.TarError as error:
        raise BadImage(f"archive {path}: {error}") from error


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> _Reader:
    def read(most: int) -> bytes:
        stream = archive.extractfile(member)
        assert stream is not None  # of a file
        return stream.read(most + 1)

    return read


def _check_name(name: str, path: Path) -> str:
    """Return a member's name. Raises BadImage for one outside the archive."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or not parts:
        raise BadImage(f"archive {path}: a file called {name!r} leads out of it")
    return str(PurePosixPath(name))


def check_unique(names: Iterable[str]) -> None:
    """Check that no two files would be written under one name. Raises BadOption."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadOption("INPUT", name, "names that differ before their endings")
        seen.add(name)


def check_apart(source: Path, target: Path) -> None:
    """Check that an output does not lie in its input, which a second run would read. Raises
    BadOption.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise BadOption("OUTPUT", str(target), f"a folder outside {source}")
