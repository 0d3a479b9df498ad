"""Weights files: where one lies, what may be read from it, and whether it fits a network.

Only safetensors and `torch.load(weights_only=True)` are read, so a file can hold wrong numbers
but never code.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from contract.problem import quote
from superres.errors import BadSetting, WeightsCorrupt, WeightsMismatch, WeightsMissing
from superres.model_spec import HalfCopy, StateDict, Weights
from superres.weights import matconvnet
from superres.weights.download import Timeouts, find_fault, find_format_fault, make_missing_error
from superres.weights.registry import ArchivePlaces
from superres.weights.sources import Obtained, Sources, fetch
from superres.weights.unwrap import find_state_dict, strip_prefixes

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).parents[1] / "assets"
_MAX_TENSORS = 100_000
NAMED = 3  # keys that an error message names of each kind


@dataclass(frozen=True)
class Store:
    """Where weights files are looked for, in the order `folders`, `assets`, `cache_dir`."""

    cache_dir: Path  # a leading ~ is resolved when it is needed: no HOME matters only then
    offline: bool = False
    folders: tuple[Path, ...] = ()  # the operator's, never written to
    assets: Path = ASSETS
    patience: Timeouts = field(default_factory=Timeouts)
    sources: Sources = field(default_factory=Sources)
    shelf: Path | None = None  # keeps archives of packages while several files are fetched

    @classmethod
    def from_environment(
        cls,
        cache_dir: Path | None = None,
        offline: bool | None = None,
        sources: Sources | None = None,
    ) -> Self:
        """Return the store that SUPERRES_CACHE, _OFFLINE, _WEIGHTS_DIR, _WEIGHTS_SOURCES and
        _WEIGHTS_MIRRORS describe; arguments go first.

        SUPERRES_WEIGHTS_DIR may name several folders, as PATH does. Raises BadSetting.
        """
        folders = os.environ.get("SUPERRES_WEIGHTS_DIR", "").split(os.pathsep)
        return cls(
            cache_dir=_default_cache() if cache_dir is None else cache_dir,
            offline=_default_offline() if offline is None else offline,
            folders=tuple(Path(folder) for folder in folders if folder),
            sources=Sources.from_environment() if sources is None else sources,
        )

    @property
    def archives(self) -> ArchivePlaces:
        """Where archives of packages lie."""
        return ArchivePlaces(self.folders, self.offline, self.shelf)

    def cache(self) -> Path:
        """Return `cache_dir` as an absolute path. Raises BadSetting where ~ means nothing."""
        try:
            return self.cache_dir.expanduser().absolute()
        except RuntimeError as error:
            raise BadSetting(
                f'cache_dir "{self.cache_dir}": this user has no home folder; '
                "set cache_dir or SUPERRES_CACHE to a folder that can be written",
                option="cache_dir",
            ) from error


def _default_cache() -> Path:
    own, shared = os.environ.get("SUPERRES_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(shared or "~/.cache") / "superres"


def _default_offline() -> bool:
    value = os.environ.get("SUPERRES_OFFLINE", "")
    meanings = {"": False, "0": False, "false": False, "1": True, "true": True}
    if value.lower() not in meanings:
        allowed = "1, true, 0 or false"
        message = f"SUPERRES_OFFLINE {quote(value)}: expected {allowed}"
        raise BadSetting(message, option="SUPERRES_OFFLINE", allowed=allowed)
    return meanings[value.lower()]


def locate(weights: Weights, store: Store, explicit: Path | None = None) -> Path:
    """Find a file that is what `weights` promises, and fetch it if it is nowhere yet.

    Args:
        weights: The row.
        store: Where files are looked for, and which sources are allowed.
        explicit: The operator's own file, whose content only the network can judge, or a folder to
            look in first.

    Returns:
        The publisher's file, or its fp16 copy (`Weights.is_half_copy` tells).

    Raises:
        WeightsMissing: It is nowhere.
        WeightsCorrupt: Another file has its name; one in the cache folder, which is ours, is
            fetched anew.
    """
    if explicit is not None and not explicit.is_dir():
        return _use_custom(explicit, weights)
    return obtain(weights, store, () if explicit is None else (explicit,)).path


def obtain(weights: Weights, store: Store, folders: tuple[Path, ...] = ()) -> Obtained:
    """Return a file as `locate` does, looking into `folders` first, and its source."""
    for folder in (*folders, *store.folders, store.assets):
        for file in weights.variants:
            if _is_present(folder / file.file):
                return Obtained(_verify(folder / file.file, weights, file), str(folder))
    return _obtain_in_cache(weights, store)


def _use_custom(path: Path, weights: Weights) -> Path:
    if not _is_present(path):
        raise WeightsMissing(
            f'weights "{path}": no such file or folder; expected a weights file, or a folder '
            f'that holds "{weights.file}"',
            option="weights",
        )
    if path.suffix == ".mat":
        return _verify(
            path, weights, weights
        )  # its reader can be trusted with the publisher's bytes only
    logger.warning('weights "%s" in place of %s: size and hash not checked', path, weights.file)
    return path


def _is_present(path: Path) -> bool:
    """Return whether a file is at `path`; one that may not be looked at is: reading it
    tells why.
    """
    try:
        return path.is_file()
    except PermissionError:
        return True


def _verify(path: Path, weights: Weights, file: Weights | HalfCopy) -> Path:
    wrong = _find_fault(path, file)
    if wrong is not None:
        source = f"; replace it by {weights.url}" if weights.url else ""
        raise WeightsCorrupt(f'weights file "{path}" {wrong}{source}')
    logger.info("%s: %s", weights.file, path)
    return path


def _find_fault(path: Path, file: Weights | HalfCopy) -> str | None:
    try:
        return find_fault(path, file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _obtain_in_cache(weights: Weights, store: Store) -> Obtained:
    folder = store.cache()
    can_fetch = _can_fetch(weights, store)
    for file in weights.variants:
        path = folder / file.file
        if not _is_present(path):
            continue
        if not can_fetch:
            return Obtained(_verify(path, weights, file), str(folder))
        wrong = _find_fault(path, file)
        if wrong is None:
            return Obtained(path, str(folder))
        logger.warning('"%s" %s: fetching it anew', path, wrong)
        break
    if not can_fetch:
        looked = "not in " + " or ".join(f'"{place}"' for place in (*store.folders, folder))
        reason = f"{looked}, and offline" if weights.url else looked
        raise make_missing_error(weights, folder, reason)
    return fetch(weights, folder, store.sources, store.archives, store.patience)


def _can_fetch(weights: Weights, store: Store) -> bool:
    """Return whether some source may be tried; offline, a package that lies in a folder."""
    if not store.offline:
        return weights.url is not None
    packages = weights.half_copy.packages if weights.half_copy else ()
    return any(store.archives.find(packaged.package) for packaged in packages)


def read_state_dict(path: Path, keys: tuple[str, ...] = ("params_ema", "params")) -> StateDict:
    """Return the tensors by name, on the CPU, from a safetensors file or a torch checkpoint.

    Of a checkpoint, what lies under the first of `keys` that it has, else where trainers usually
    put it; prefixes of all names, such as `module.`, are dropped. Raises WeightsMissing if there is
    no file, WeightsCorrupt with file and reason for anything but tensors.
    """
    try:
        wrong = find_format_fault(path)
        content = _read_checkpoint(path) if wrong is None else None
    except FileNotFoundError as error:
        raise WeightsMissing(f'weights file "{path}": no such file') from error
    except Exception as error:  # parsers of foreign bytes raise whatever the bytes lead them to
        raise WeightsCorrupt(f'weights file "{path}" {_describe_error(error)}') from error
    if wrong is not None:
        raise WeightsCorrupt(f'weights file "{path}" {wrong}')
    return strip_prefixes(dict(_iterate_tensors(path, content, keys)))


def _read_checkpoint(path: Path) -> object:
    if path.suffix == ".mat":
        return matconvnet.load_matconvnet(path)
    with path.open("rb") as stream:
        start = stream.read(9)
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return load_file(path)
    zipped = start.startswith(b"PK")  # torch can map only its zip format, since 1.6, into memory
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _describe_error(error: Exception) -> str:
    """Return one line about `error`; torch's own, of ten, would advise to allow the foreign
    objects.
    """
    foreign_object = re.search(r"GLOBAL (\S+)", str(error))
    if foreign_object:
        return f"holds {foreign_object[1]}, an object that could run code, not only tensors"
    line = next(iter(str(error).splitlines()), "")
    return f"cannot be read: {type(error).__name__} {line[:200]}"


def _iterate_tensors(
    path: Path, content: object, keys: tuple[str, ...]
) -> Iterator[tuple[str, Tensor]]:
    held = find_state_dict(content, keys) if isinstance(content, dict) else content
    if not isinstance(held, dict) or not held:
        raise WeightsCorrupt(f'weights file "{path}" holds no tensors by name')
    if len(held) > _MAX_TENSORS:
        raise WeightsCorrupt(f'weights file "{path}" holds {len(held)} tensors: too many')
    for name, value in held.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
            found = f"{quote(name)} is a {type(value).__name__}, expected a dense Tensor"
            raise WeightsCorrupt(f'weights file "{path}": {found}')
        yield str(name), value.detach()


def load_state_dict(network: nn.Module, state: StateDict, path: Path) -> None:
    """Load `state` into every parameter and buffer of `network`, with nothing left over.

    Raises WeightsMismatch, which names `path` and the first few differences; the network's values
    are then undefined.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        differences = "; ".join(_list_differences(network.state_dict(), state)) or _describe_error(
            error
        )
        raise WeightsMismatch(
            f'weights file "{path}" does not fit {type(network).__name__}: {differences}'
        ) from error


def _list_differences(network: StateDict, state: StateDict) -> Iterator[str]:
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in the network"
        for name, tensor in network.items()
        if name in state and state[name].shape != tensor.shape
    ]
    yield from _summarize("missing", [name for name in network if name not in state])
    yield from _summarize("unexpected", [name for name in state if name not in network])
    yield from _summarize("with another shape", shapes)


def _summarize(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{what} {', '.join(names[:NAMED])}{more}"


def interpolate(first: StateDict, second: StateDict, weight: float) -> StateDict:
    """Return `weight`·first + (1 - `weight`)·second, in fp32; whole numbers are those of `first`.

    Real-ESRGAN's deep network interpolation, with `weight` 0..1 as its denoise_strength. Raises
    WeightsMismatch if the two are not of one architecture.
    """
    differences = "; ".join(_list_differences(second, first))
    if differences:
        raise WeightsMismatch(f"two weights files cannot be interpolated: {differences}")
    return {
        name: _interpolate_tensors(tensor, second[name], weight) for name, tensor in first.items()
    }


def _interpolate_tensors(first: Tensor, second: Tensor, weight: float) -> Tensor:
    if not first.is_floating_point():
        return first
    return weight * first.float() + (1 - weight) * second.float()
