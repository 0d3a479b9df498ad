"""A web server that hands out files and keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Posted(NamedTuple):
    """A request that was sent to /post; the names of `headers` are in lower case."""

    headers: dict[str, str]
    body: Any


@dataclass
class Recorder:
    """`files` by path, the paths that were asked for, and what was posted."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def recording() -> Iterator[Recorder]:
    """A Recorder on a free port; it answers posts with one Document whose blob is empty."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            recorder.fetched.append(self.path)
            found = recorder.files.get(self.path)
            self.answer(200 if found else 404, found or b"", "image/png")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.posted.append(Posted(headers, body))
            self.answer(200, b'{"data": [{"blob": ""}]}', "application/json")

        def answer(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder = Recorder(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
