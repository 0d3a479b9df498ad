"""What models cost on this machine, kept in a folder: measured once, known at the next start."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["KeptCosts"]

logger = logging.getLogger(__name__)

_FOLDER = "costs"
_LOCK_SECONDS = 300.0


@dataclass(frozen=True)
class KeptCosts:
    """Seconds per megapixel of input by facts: the machine, the number format, the model.

    Each has a file of its own, so that processes do not wait for each other.
    """

    cache: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from measuring at the same time, which would slow both."""
        folder = self.cache / _FOLDER
        lock = FileLock(folder / "lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=_LOCK_SECONDS)
        except (OSError, Timeout):
            yield  # a folder that cannot be written, or a process that is stuck
            return
        try:
            yield
        finally:
            lock.release()

    def find(self, facts: Mapping[str, Any]) -> float | None:
        """Find a cost; None where it was not measured, or its file is damaged."""
        path = self._get_path(facts)
        try:
            kept = json.loads(path.read_text())
            seconds = float(kept["seconds_per_megapixel"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is damaged and measured again: %s", path, error)
            return None
        return seconds if kept.get("facts") == dict(facts) and seconds > 0 else None

    def keep(self, facts: Mapping[str, Any], seconds: float) -> bool:
        """Keep a cost; return False where the folder cannot be written."""
        path = self._get_path(facts)
        text = json.dumps({"facts": dict(facts), "seconds_per_megapixel": seconds}, indent=1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w") as file:
                file.write(text + "\n")
            Path(name).replace(path)
        except OSError as error:
            logger.warning("the cost of a model is not kept: %s", error)
            return False
        return True

    def list_known(self, processors: Collection[str]) -> dict[str, float]:
        """List what is kept of some processors and GPUs, by model; the newest counts."""
        found: dict[str, float] = {}
        files = (self.cache / _FOLDER).glob("*.json")
        for path in sorted(files, key=lambda file: file.stat().st_mtime):
            try:
                kept = json.loads(path.read_text())
                if kept["facts"]["processor"] in processors:
                    found[kept["facts"]["model"]] = float(kept["seconds_per_megapixel"])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # `find` says so, where it matters
        return found

    def _get_path(self, facts: Mapping[str, Any]) -> Path:
        text = json.dumps(dict(facts), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self.cache / _FOLDER / f"{digest}.json"
