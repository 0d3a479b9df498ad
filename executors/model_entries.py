"""Entries of the setting `models`: names of the catalogue, and files of one's own."""

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from contract.problem import quote
from superres.catalogue import CATALOGUE
from superres.custom.detect import WEIGHTS_SUFFIXES, make_name
from superres.errors import BadSetting

_NAME = re.compile(r"[\w.-]{1,100}")


class ModelEntry(NamedTuple):
    """A model to be served."""

    name: str
    file: Path | None  # None: a row of the catalogue


def read_entry(value: object) -> str:
    """Read one entry as YAML or the environment has it.

    Args:
        value: A catalogue name, a path or pattern of paths, `name=path`, or a mapping of `name` and
            `weights`.

    Returns:
        The entry as text, a mapping as `name=path`.

    Raises:
        ValueError: It is anything else.
    """
    if isinstance(value, dict):
        if set(value) != {"name", "weights"} or not all(
            isinstance(part, str) and part for part in value.values()
        ):
            raise ValueError
        return f"{value['name']}={value['weights']}"
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def resolve_entries(entries: Iterable[str]) -> list[ModelEntry]:
    """Find the files that entries name.

    Args:
        entries: As `read_entry` returns them.

    Returns:
        The models in the order of the entries, those of a pattern by file name.

    Raises:
        BadSetting: A pattern matches nothing, or a name is not one, or is taken.
    """
    found = [model for entry in entries for model in _resolve_entry(entry)]
    names: set[str] = set()
    for model in found:
        if model.file is not None and model.name in CATALOGUE:
            raise _make_error(model.name, "another name: this one is a model of the catalogue")
        if model.name in names:
            raise _make_error(model.name, "a name of its own for each model")
        names.add(model.name)
    return found


def _resolve_entry(entry: str) -> Iterator[ModelEntry]:
    name, given, path = entry.rpartition("=")
    if not given and not _is_path(entry):
        yield ModelEntry(entry, None)
        return
    if given and not _NAME.fullmatch(name):
        raise _make_error(name, "letters, digits, dots, underscores and hyphens as the name")
    if not any(sign in path for sign in "*?["):
        file = Path(path).expanduser()
        yield ModelEntry(name or make_name(file), file)
        return
    # Path.glob takes no absolute pattern.
    files = sorted(glob.glob(str(Path(path).expanduser())))  # noqa: PTH207
    if given or not files:
        raise _make_error(entry, "one file for a name" if given else "a pattern of files there are")
    for file in map(Path, files):
        yield ModelEntry(make_name(file), file)


def _is_path(entry: str) -> bool:
    return "/" in entry or entry.lower().endswith(WEIGHTS_SUFFIXES)


def _make_error(value: str, expected: str) -> BadSetting:
    return BadSetting(f"models {quote(value)}: expected {expected}", option="models")
