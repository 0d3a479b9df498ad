"""A server that upscales over HTTP: an image's bytes go to /upscale, a larger one's come back."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from contract.problem import quote
from superres.errors import BadOption, BadSetting, Refused, SuperresError, Unavailable, list_causes

Progress = Callable[[int, int], None]

BYTES = "application/octet-stream"  # the server looks at the content
SECONDS = 660.0  # without a byte: longer than the server's own deadline
_TRIES = 5
_LONGEST_WAIT = 30.0  # seconds before the next try, whatever the server says
BUSY = frozenset({429, 503})
_WRONG_SERVER = frozenset({404, 405, 415, 501})  # another service, or none that takes raw images
_NOBODY_THERE = (ConnectionRefusedError, socket.gaierror, ssl.SSLError)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Server:
    """The address of a server, e.g. http://localhost:51001, and the key it may need."""

    url: str
    key: str | None = None

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise BadOption("--server", self.url, "an address such as http://localhost:51001")
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise BadOption("--key", "…", "printable ASCII")

    def upscale(
        self, data: bytes, options: Mapping[str, object], progress: Progress | None = None
    ) -> bytes:
        """Return the bytes of the larger image; a busy server is asked again after the time it
        names.

        `progress` is told of tiles done and in all, by a thread, where the server tells them.
        Raises BadSetting where the server cannot be reached, is of another kind or wants another
        key; Refused or Unavailable, with the server's own message, where it answers an error.
        """
        given = {name: str(value) for name, value in options.items() if value is not None}
        headers = {"Content-Type": BYTES, "Accept": "image/*"}
        if progress is not None:
            headers["X-Request-ID"] = name = uuid4().hex
            threading.Thread(target=self._follow, args=(name, progress), daemon=True).start()
        for left in reversed(range(_TRIES)):
            try:
                return self._post(data, given, headers)
            except _BusyError as error:
                if not left:
                    raise error.told from None
                time.sleep(error.seconds)
        raise AssertionError

    def _post(self, data: bytes, options: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        try:
            with self._open_session() as session:
                # No redirects, which would carry image and key elsewhere.
                answer = session.post(
                    f"{self.url.rstrip('/')}/upscale",
                    params=options,
                    data=data,
                    headers=headers,
                    timeout=SECONDS,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise self._unreached(error) from error
        if answer.status_code >= 300:
            raise _read_failure(answer.status_code, answer.headers, answer.content)
        return read_image(answer)

    def _follow(self, name: str, progress: Progress) -> None:
        """Tell `progress` what the server's event stream for a request says, until it ends."""
        # A server without this endpoint, or a broken stream, costs the bar and nothing else.
        with suppress(OSError, ValueError, KeyError), self._open_session() as session:
            address = f"{self.url.rstrip('/')}/progress/{name}"
            with session.get(address, timeout=SECONDS, stream=True) as events:
                events.raise_for_status()
                for line in events.iter_lines():
                    event = json.loads(line[5:]) if line.startswith(b"data:") else {}
                    if event.get("total"):
                        progress(int(event["done"]), int(event["total"]))

    def _unreached(self, error: requests.RequestException) -> SuperresError:
        causes = list(list_causes(error))
        reason = next((cause for cause in causes if isinstance(cause, _NOBODY_THERE)), causes[-1])
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if isinstance(reason, _NOBODY_THERE):
            return BadSetting(f"{self.url} cannot be reached ({said})", option="--server")
        return Unavailable(f"{self.url}: the connection broke ({said})")

    def _open_session(self) -> requests.Session:
        """Open a session that has the key, and no proxy to this machine."""
        session = requests.Session()
        session.trust_env = urlsplit(self.url).hostname not in LOOPBACK
        session.auth = self._add_key  # whatever a .netrc says
        session.headers["User-Agent"] = "superres"
        return session

    def _add_key(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key:
            request.headers["Authorization"] = self.key
        return request


def _is_address(url: str) -> bool:
    """Return whether `url` names a server: http or https, a host, perhaps a port and a path."""
    try:
        parts = urlsplit(url)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and not (parts.query or parts.fragment or set(url) & set(" @"))
        )
    except ValueError:  # brackets that do not match, a port that is no number
        return False


class _BusyError(Exception):
    """The server asks to come back in `seconds`; `told` is what it said."""

    def __init__(self, told: SuperresError, seconds: float) -> None:
        super().__init__(str(told))
        self.told = told
        self.seconds = seconds


def read_image(answer: requests.Response) -> bytes:
    """Return the body of an answer that is an image. Raises BadSetting where it is
    something else.
    """
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise BadSetting(
            f"{answer.url} answered {kind}, no image: is a service of this kind there?",
            option="--server",
        )
    return answer.content


def _read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    """Return the error in an answer {code, message, option, allowed}, or in one from something
    between.
    """
    told = _read_fields(body)
    message = told.get("message") or f"the server answered status {status}"
    message = message.removeprefix(f"document {told.get('doc_id')}: ")  # it has but one
    details = {name: told[name] for name in ("code", "option", "allowed") if told.get(name)}
    if status < 400:
        place = quote(headers.get("Location", ""))
        return BadSetting(f"the server redirects to {place}: name that one", option="--server")
    if status in (401, 403):
        return BadSetting(message, option="--key")
    if status in _WRONG_SERVER:
        return BadSetting(f"{message} (status {status})", option="--server")
    if status in BUSY:
        return _BusyError(Unavailable(message, **details), _read_waiting_time(headers))
    kind = Unavailable if status >= 500 else Refused
    return kind(message, **details)


def _read_fields(body: bytes) -> dict[str, str]:
    """Return the texts of a JSON object; nothing where `body` is no such thing."""
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    return {name: value for name, value in parsed.items() if isinstance(value, str)}


def _read_waiting_time(headers: Mapping[str, str]) -> float:
    """Return the seconds that Retry-After asks for, 1 where it asks for none, within
    LONGEST_WAIT.
    """
    told = str(headers.get("Retry-After", "")).strip()
    return min(float(told), _LONGEST_WAIT) if told.isdecimal() else 1.0
