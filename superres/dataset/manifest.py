"""What of a data set is done: JSON lines beside the output, each written when its files are there.

The first line says what is being made; a run that asks for something else does not go on from it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from superres.errors import BadOption
from superres.whole_file import write_whole

__all__ = ["MANIFEST", "Manifest", "Record"]

MANIFEST = "manifest.jsonl"
Record = dict[str, Any]


class Manifest:
    """The records of an output folder by name; a context manager that keeps the file open."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], restart: bool = False) -> None:
        """Open the manifest of a folder, which is made where it is not there.

        Args:
            folder: Of the output.
            settings: What is being made, in JSON's types.
            restart: Whether to forget what is done.

        Raises:
            BadOption: The folder holds what other settings made, or files without a manifest.
        """
        self.folder = folder
        self.path = folder / MANIFEST
        self.records: dict[str, Record] = {}
        folder.mkdir(parents=True, exist_ok=True)
        wanted = json.loads(json.dumps(dict(settings)))
        if restart or not self.path.exists():
            if not restart and any(folder.iterdir()):
                allowed = "an empty folder, or one that an earlier run has made"
                raise BadOption("OUTPUT", str(folder), f"{allowed} (no {MANIFEST} is there)")
            write_whole(self.path, f"{json.dumps(wanted)}\n".encode())
        self._read(wanted)
        self._stream = self.path.open("ab")

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def add(self, records: Iterable[Record]) -> None:
        """Append records, each with a `name`, in one write that is on the disk when it returns."""
        added = list(records)
        self._stream.write(b"".join(json.dumps(one).encode() + b"\n" for one in added))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.records |= {one["name"]: one for one in added}

    def _read(self, wanted: Record) -> None:
        """Read the file; a last line that a crash has cut off is removed."""
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(self.path, len(whole))
        try:
            made, *records = [json.loads(line) for line in whole.splitlines()] or [{}]
            self.records = {one["name"]: one for one in records}
        except (ValueError, KeyError, TypeError) as error:
            allowed = "a manifest of this program, or --restart"
            raise BadOption("OUTPUT", str(self.path), allowed) from error
        for name in sorted({*made, *wanted}):
            if made.get(name) != wanted.get(name):
                allowed = f"{made.get(name)}, with which {self.folder} was begun, or --restart"
                raise BadOption(name, wanted.get(name), allowed)
