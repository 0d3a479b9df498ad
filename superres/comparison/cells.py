"""Cells: what was measured of one contender at one place, each kept in a file of its own.

A comparison that was interrupted goes on where it stopped: a cell counts as long as what it was
measured of, its `inputs`, is the same.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Cell", "CellKey", "CellStore", "Values"]

Values = dict[str, Any]
"""What a cell found, as JSON has it."""

_UNSAFE = re.compile(r"[^\w.-]+")


class CellKey(NamedTuple):
    """A cell's name: what was measured, of whom, where, and of what."""

    kind: str  # cost, quality, image, largest or service
    contender: str
    place: str
    subject: str  # a size, a set and a damage, an image

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def file(self) -> Path:
        """Where it lies, in the folder of cells."""
        contender, subject = (_UNSAFE.sub("_", part) for part in (self.contender, self.subject))
        return Path(self.kind, contender, f"{self.place}.{subject}.json")


class Cell(NamedTuple):
    """What was found. `left_out` is the reason why nothing was."""

    key: CellKey
    values: Values
    left_out: str | None = None


@dataclass
class CellStore:
    """The cells of a comparison, in memory and in `folder`."""

    folder: Path
    cells: dict[CellKey, Cell] = field(default_factory=dict)

    def measure(self, key: CellKey, inputs: Mapping[str, Any], work: Callable[[], Values]) -> Cell:
        """Return the cell as it is kept, else measure and keep it.

        Args:
            key: Its name.
            inputs: What its values depend on, as JSON has it.
            work: Measures; NotMeasured that it raises leaves the cell out, which is not kept.

        Returns:
            The cell, which is also one of this store's now.
        """
        values = self.find_kept(key, inputs)
        if values is not None:
            cell = Cell(key, values)
        else:
            try:
                cell = Cell(key, work())
            except NotMeasured as reason:
                cell = Cell(key, {}, str(reason))
            else:
                kept = {"key": str(key), "inputs": inputs, "values": cell.values}
                _write(self.folder / key.file, kept)
        self.cells[key] = cell
        return cell

    def find_kept(self, key: CellKey, inputs: Mapping[str, Any]) -> Values | None:
        """Return what an earlier run found of the same inputs, None where there is nothing."""
        kept = _read(self.folder / key.file)
        if kept is None or kept.get("inputs") != json.loads(json.dumps(inputs)):
            return None
        values: Values = kept["values"]
        return values

    def list_left_out(self) -> Iterator[tuple[str, str]]:
        """Yield names and reasons of the cells that were not measured."""
        for key, cell in self.cells.items():
            if cell.left_out is not None:
                yield str(key), cell.left_out


class NotMeasured(Exception):
    """Why a cell was left out: the time it would take, or what went wrong."""


def _read(path: Path) -> Values | None:
    """Return a kept cell; None where there is none, or none that can be read."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and isinstance(kept.get("values"), dict) else None


def _write(path: Path, kept: Values) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(kept, indent=1) + "\n")
    unfinished.replace(path)
