"""Weights over the network: resumed, checked, and never half a file under the real name."""

import glob
import hashlib
import http.client
import logging
import os
import re
import shutil
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from superres.errors import WeightsCorrupt, WeightsMissing, list_causes
from superres.model_spec import HalfCopy, PinnedFile, Weights
from superres.weights.http import open_session

logger = logging.getLogger(__name__)

_MARGIN = 64 << 20  # bytes of disk left free for everybody else
_CHUNK = 1 << 20
BUSY = frozenset({408, 425, 429})  # 4xx statuses that pass; every 5xx may pass too


@dataclass(frozen=True)
class Timeouts:
    """How long a download is waited for; all times in seconds."""

    tries: int = 3  # in a row that bring no new byte
    wait: float = 1.0  # before the second try; doubled before each further one
    connect: float = 4.0
    reach: float = 5.0  # a server that never answered is not tried again after this
    stall: float = 60.0  # without a byte; proxies that scan for viruses hold files back for long
    total: float = 600.0  # Jina's own time for an Executor to become ready


class _PassingError(Exception):
    """This try failed; another one may do better."""


class _LastingError(Exception):
    """No further try would do better."""


def download(weights: Weights, target: Path, patience: Timeouts | None = None) -> None:
    """Download a file once, however many processes ask, and verify it.

    A part is kept beside it and resumed by the next call. Proxies and certificates come from
    HTTP(S)_PROXY, NO_PROXY and SSL_CERT_FILE. Raises WeightsMissing when the file cannot be had
    or stored, WeightsCorrupt when the server has another file under that address.
    """
    patience = patience or Timeouts()
    target = target.absolute()
    try:
        with lock_file(target, patience):
            if not target.is_file() or find_fault(target, weights):
                with closing(_Transfer(weights, target, patience)) as transfer:
                    transfer.run()
    except Timeout as error:
        reason = f"another process has held {error.lock_file} for {patience.total:g} s"
        raise make_missing_error(weights, target.parent, reason) from error
    except OSError as error:
        reason = f"{target.parent} cannot be written ({error.strerror or error})"
        raise make_missing_error(weights, target.parent, reason) from error


def make_missing_error(weights: Weights, folder: Path, reason: str) -> WeightsMissing:
    """Return the error for a file that is not to be had: why, and how to put it there by hand."""
    if weights.url is None:
        remedy = "it is shipped inside the package: install superres again"
    else:
        size = f"{weights.size} bytes, " if weights.size is not None else ""
        remedy = (
            f"put {weights.url} ({size}sha256 {weights.sha256 or 'not published'}) into {folder}"
        )
    return WeightsMissing(
        f'weights file "{weights.file}": {reason}; {remedy}, '
        "or set SUPERRES_WEIGHTS_DIR to a folder that holds it",
        reason=reason,
    )


def find_fault(path: Path, weights: Weights | HalfCopy | PinnedFile) -> str | None:
    """Return what is wrong with the file at `path`, measured by the size and hash of `weights`, or
    None.

    The hash is computed every time: 0.2 s for 140 MB, and no note beside the file could see a bit
    that flipped on the disk. Raises OSError when the file cannot be read.
    """
    text = find_format_fault(path)
    if text is not None:
        return text
    size = path.stat().st_size
    if weights.size is not None and size != weights.size:
        return f"has {size} bytes, expected {weights.size} with sha256 {weights.sha256}"
    if weights.sha256 is None:
        return None
    found = compute_sha256(path)
    return None if found == weights.sha256 else f"has sha256 {found}, expected {weights.sha256}"


def find_format_fault(path: Path) -> str | None:
    """Return what the file obviously is instead of weights: nothing, a web page, a Git LFS
    pointer.
    """
    with path.open("rb") as stream:
        start = stream.read(256).lstrip().lower()
    if path.stat().st_size == 0:
        return "is empty"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "is a web page, as a login or an error answers, not weights"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself: run git lfs pull"
    return None


def compute_sha256(path: Path) -> str:
    """Return the hash of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def lock_file(target: Path, patience: Timeouts) -> Iterator[None]:
    """Keep every other process and thread from downloading `target` meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{target}.lock", timeout=patience.total)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("waiting for another process to download %s", target.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Transfer:
    """One file on its way: the part on disk and what is known of the server."""

    def __init__(self, weights: Weights, target: Path, patience: Timeouts) -> None:
        self.weights, self.target, self.patience = weights, target, patience
        self.part = target.with_name(f"{target.name}.{(weights.sha256 or 'unpinned')[:12]}.part")
        self.session = open_session()
        self.begun = time.monotonic()
        self.reached = False
        self.resumed = False
        self.validator: str | None = None  # the ETag that the part belongs to, if from this run

    def run(self) -> None:
        """Try until the file is complete and right; OSError means the folder's own troubles."""
        failures = 0
        while True:
            before = self.received
            try:
                self._receive()
                return self._install()
            except _PassingError as error:
                reason = str(error)
            except _LastingError as error:
                raise make_missing_error(self.weights, self.target.parent, str(error)) from error
            failures = 1 if self.received > before else failures + 1
            if self._spent(failures):
                times = "once" if failures == 1 else f"{failures} times"
                raise make_missing_error(
                    self.weights, self.target.parent, f"{reason} (tried {times})"
                )
            wait = self.patience.wait * 2 ** (failures - 1)
            logger.warning("%s: %s; next try in %g s", self.weights.file, reason, wait)
            time.sleep(wait)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    @property
    def received(self) -> int:
        """Bytes in the part so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _spent(self, failures: int) -> bool:
        seconds = time.monotonic() - self.begun
        limit = self.patience.total if self.reached else self.patience.reach
        return failures >= self.patience.tries or seconds > limit

    def _receive(self) -> None:
        """Continue the part until it has every byte that was promised."""
        offset = self._resumable()
        self.resumed = offset > 0
        if offset and offset == self.weights.size:
            return
        with self._open(offset) as response:
            self._refuse_pages(response)
            offset, total = self._promised(response, offset)
            self.resumed = offset > 0
            self._write(response, offset, total)
        wrong = find_format_fault(self.part) if self.received else None
        if wrong is not None:
            self.part.unlink()
            raise _LastingError(f"the answer of {self.weights.url} {wrong}")
        if total is not None and self.received < total:
            raise _PassingError(f"the connection ended at {self.received} of {total} bytes")

    def _resumable(self) -> int:
        """Return where to go on: only a hash or the same ETag proves that two pieces are of one
        file.
        """
        known = self.weights.sha256 is not None or self.validator is not None
        if not known or (self.weights.size is not None and self.received > self.weights.size):
            self.part.unlink(missing_ok=True)
        return self.received

    def _open(self, offset: int) -> requests.Response:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and self.validator:
            headers["If-Range"] = self.validator
        timeouts = (self.patience.connect, self.patience.stall)
        try:
            response = self.session.get(
                str(self.weights.url), headers=headers, timeout=timeouts, stream=True
            )
        except (requests.RequestException, ValueError) as error:
            cause = list(list_causes(error))[-1]
            reason = f"{self.weights.url} cannot be reached ({cause})"
            if isinstance(cause, ssl.SSLCertVerificationError):
                hint = "if a proxy signs with its own, name that in SSL_CERT_FILE"
                raise _LastingError(f"{reason}; {hint}") from error
            raise _PassingError(reason) from error
        self.reached = True
        if response.status_code >= 300:
            response.close()
            self._refused(response.status_code)
        return response

    def _refused(self, status: int) -> NoReturn:
        self.reached = True
        if status == 416:  # the part is longer than the server's file
            self.part.unlink(missing_ok=True)
        reason = f"{self.weights.url} answered HTTP status {status}"
        passing = status >= 500 or status == 416 or status in BUSY
        raise _PassingError(reason) if passing else _LastingError(reason)

    def _refuse_pages(self, response: requests.Response) -> None:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        coding = response.headers.get("Content-Encoding", "identity")
        if kind == "text/html":
            raise _LastingError(
                f"{self.weights.url} answered a web page (a login or a proxy's notice?)"
            )
        if coding != "identity":
            raise _LastingError(f"{self.weights.url} answered with Content-Encoding {coding}")

    def _promised(self, response: requests.Response, offset: int) -> tuple[int, int | None]:
        """Return where in the file the body begins, and how long the whole file is, if that is
        told.
        """
        length = response.headers.get("Content-Length", "")
        begin, total = 0, int(length) if length.isdecimal() else None
        if response.status_code == 206:
            begin, total = self._range(response, offset)
        expected = self.weights.size
        if None not in (total, expected) and total != expected:
            raise _LastingError(f"{self.weights.url} has {total} bytes, expected {expected}")
        etag = response.headers.get("ETag", "")
        self.validator = etag if etag.startswith('"') else None  # weak ones may not join pieces
        return begin, total if expected is None else expected

    def _range(self, response: requests.Response, offset: int) -> tuple[int, int | None]:
        told = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told)
        if match is None or int(match[1]) != offset:
            self.part.unlink(missing_ok=True)
            raise _PassingError(f'asked for bytes {offset}-, the server answered "{told}"')
        return offset, None if match[2] == "*" else int(match[2])

    def _write(self, response: requests.Response, offset: int, total: int | None) -> None:
        with self.part.open("ab") as stream:
            stream.truncate(offset)  # to nothing where the server ignored the range
            self._refuse_full_disk((total or 0) - offset)
            with Progress(self.weights.file, offset, total) as progress:
                for chunk in self._chunks(response, offset, total):
                    stream.write(chunk)
                    progress.add(len(chunk))

    def _refuse_full_disk(self, needed: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if free < needed + _MARGIN:
            raise _LastingError(
                f"{self.part.parent} has {free} bytes free, {needed + _MARGIN} are needed"
            )

    def _chunks(
        self, response: requests.Response, offset: int, total: int | None
    ) -> Iterator[bytes]:
        """Yield the body as it arrives, up to `total`; network errors become _PassingError."""
        while total is None or offset < total:
            self._refuse_lateness(offset, total)
            try:
                # read1 returns what one recv brought: a trickle meets the limit of time, too
                size = _CHUNK if total is None else min(_CHUNK, total - offset)
                chunk = response.raw._original_response.read1(size)  # noqa: SLF001 - urllib3 1 has none
            except (OSError, http.client.HTTPException) as error:
                at = f"{offset} of {total or 'unknown'} bytes"
                raise _PassingError(f"the connection broke at {at} ({error})") from error
            if not chunk:
                return
            yield chunk
            offset += len(chunk)

    def _refuse_lateness(self, offset: int, total: int | None) -> None:
        if time.monotonic() - self.begun > self.patience.total:
            raise _LastingError(
                f"not complete after {self.patience.total:g} s ({offset} of {total or 'unknown'} "
                "bytes); a new start goes on from there if the publisher allows it"
            )

    def _install(self) -> None:
        """Give the part its real name, once it is proven and safe on the disk."""
        wrong = find_fault(self.part, self.weights)
        if wrong is not None:
            self._discard(wrong)
        if self.weights.sha256 is None:
            found = compute_sha256(self.part)
            logger.warning("%s: no published hash; sha256 %s", self.weights.file, found)
        install_file(self.part, self.target)
        for stale in self.target.parent.glob(f"{glob.escape(self.target.name)}.*.part"):
            stale.unlink(missing_ok=True)

    def _discard(self, wrong: str) -> None:
        """Delete a wrong part: start anew if its pieces were joined, else the server's is wrong."""
        self.part.unlink()
        if self.resumed:
            raise _PassingError(f"the resumed download {wrong}")
        raise WeightsCorrupt(f"{self.weights.url} {wrong}; the download was deleted")


def install_file(part: Path, target: Path) -> None:
    """Give a complete file its real name, so that even a power cut leaves all of it or none."""
    _sync(part)
    part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Make what was written to a file, or renamed in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Progress:
    """How far a download is: a bar on a terminal, elsewhere one log line per 10 %."""

    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self.bar = tqdm(
            initial=done, total=total, desc=name, unit="B", unit_scale=True,
            file=sys.stderr, disable=None, leave=False,
        )  # fmt: skip

    def add(self, count: int) -> None:
        """Count more bytes that are on the disk."""
        self.bar.update(count)
        before, self.done = self._tenths(), self.done + count
        if self.bar.disable and self._tenths() > before:
            logger.info("%s: %d %% of %d bytes", self.name, 10 * self._tenths(), self.total)

    def _tenths(self) -> int:
        return 10 * self.done // self.total if self.total else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
