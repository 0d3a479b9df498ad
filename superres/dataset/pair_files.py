"""Pairs of an original and its degraded copy, as files: folders, WebDataset's tars, or an image
folder of Hugging Face.
"""

import io
import json
import tarfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import BinaryIO, Literal, NamedTuple, get_args

from superres.dataset.manifest import Manifest, Record
from superres.whole_file import open_whole, write_whole

__all__ = ["LAYOUTS", "Layout", "Pair", "PairWriter", "add_member", "make_writer", "open_archive"]

Layout = Literal["folders", "webdataset", "imagefolder"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


class Pair(NamedTuple):
    """The PNG files of a pair, and its record; `key` has "/" between folders."""

    key: str
    original: bytes
    degraded: bytes
    record: Record


class PairWriter(ABC):
    """Writes pairs into a folder and records each in the manifest when its files are there."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @abstractmethod
    def write(self, pair: Pair) -> None:
        """Write a pair."""

    def finish(self) -> None:  # noqa: B027 # most have nothing to do
        """Write what is only known at the end."""


class FolderWriter(PairWriter):
    """hr/KEY.png and lr/KEY.png, as BasicSR's PairedImageDataset reads them."""

    root = ""

    def write(self, pair: Pair) -> None:
        """Write a pair."""
        for side, data in (("hr", pair.original), ("lr", pair.degraded)):
            write_whole(self.manifest.folder / self.root / side / f"{pair.key}.png", data)
        self.manifest.add([pair.record])


class ImageFolderWriter(FolderWriter):
    """train/hr, train/lr and train/metadata.jsonl, as `datasets.load_dataset` reads them."""

    root = "train"

    def finish(self) -> None:
        """Write the metadata of all pairs."""
        lines = []
        for name, record in self.manifest.records.items():
            sides = {f"{side}_file_name": f"{side}/{name}.png" for side in ("lr", "hr")}
            about = {"recipe": record["recipe"], "seed": str(record["seed"])}
            steps = json.dumps(record["steps"])  # as text: every pair has other parameters
            lines.append(json.dumps({**sides, **about, "steps": steps}) + "\n")
        write_whole(self.manifest.folder / self.root / "metadata.jsonl", "".join(lines).encode())


class TarWriter(PairWriter):
    """000000.tar with KEY.hr.png, KEY.lr.png and KEY.json of some pairs, and so on."""

    def __init__(self, manifest: Manifest, pairs: int) -> None:
        super().__init__(manifest)
        self._pairs = pairs
        self._shards = len({record["shard"] for record in manifest.records.values()})
        self._open = ExitStack()
        self._archive: tarfile.TarFile | None = None
        self._records: list[Record] = []

    def write(self, pair: Pair) -> None:
        """Add a pair to the archive, which appears when it is full."""
        shard = f"{self._shards:06}.tar"
        if self._archive is None:
            stream = self._open.enter_context(open_whole(self.manifest.folder / shard))
            self._archive = self._open.enter_context(open_archive(stream))
        key = _make_tar_key(pair.key)
        add_member(self._archive, f"{key}.hr.png", pair.original)
        add_member(self._archive, f"{key}.lr.png", pair.degraded)
        add_member(self._archive, f"{key}.json", json.dumps(pair.record).encode())
        self._records.append({**pair.record, "shard": shard})
        if len(self._records) == self._pairs:
            self.finish()

    def finish(self) -> None:
        """Let the archive appear."""
        if self._archive is None:
            return
        self._open.close()
        self.manifest.add(self._records)
        self._archive, self._records = None, []
        self._shards += 1


def _make_tar_key(key: str) -> str:
    """Return a key without a dot in its last part, where WebDataset would begin the ending."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + name.replace(".", "_")


def open_archive(stream: BinaryIO) -> tarfile.TarFile:
    """Begin a tar archive in a file."""
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to a tar archive, without a time or an owner: equal content, equal bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def make_writer(layout: Layout, manifest: Manifest, shard_pairs: int) -> PairWriter:
    """Make the writer of a layout.

    Args:
        layout: How pairs lie in files.
        manifest: Of the output.
        shard_pairs: Pairs in an archive of WebDataset.

    Returns:
        The writer; `finish` ends it.
    """
    if layout == "webdataset":
        return TarWriter(manifest, shard_pairs)
    return (ImageFolderWriter if layout == "imagefolder" else FolderWriter)(manifest)
