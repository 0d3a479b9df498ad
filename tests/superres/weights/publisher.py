"""A publisher of weights on 127.0.0.1 that keeps or breaks its promises, request by request."""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from superres.model_spec import Weights
from superres.weights.download import Timeouts

CONTENT = bytes(range(256)) * 400
ETAG = '"first-edition"'
HASTE = Timeouts(wait=0.01, connect=5, reach=5, stall=5, total=30)

Behaviour = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request, with what an answer is made of."""

    server: "Publisher"

    def do_GET(self) -> None:
        self.server.seen.append(self)
        with contextlib.suppress(ConnectionError):  # clients may hang up
            self.server.behaviour()(self)

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def range_start(self) -> int:
        return int(self.headers.get("Range", "bytes=0-")[6:-1])


class Publisher(ThreadingHTTPServer):
    """Answers request n as behaviour n says, and all after the last as the last."""

    def __init__(self, *behaviours: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behaviours = behaviours
        self.seen: list[Request] = []
        self.closing = threading.Event()
        self.scheme = "http"

    def behaviour(self) -> Behaviour:
        return self.behaviours[min(len(self.seen), len(self.behaviours)) - 1]

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/weights.pth"

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("Range") for request in self.seen]

    def encrypt(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"

    def handle_error(self, *_: object) -> None:
        """A client that refuses the certificate is no news."""


@contextlib.contextmanager
def publishing(*behaviours: Behaviour, certificate: Path | None = None) -> Iterator[Publisher]:
    with Publisher(*behaviours) as publisher:
        if certificate is not None:
            publisher.encrypt(certificate)
        thread = threading.Thread(target=publisher.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield publisher
        finally:
            publisher.closing.set()
            publisher.shutdown()
            thread.join()


def promised(url: str | None, content: bytes = CONTENT) -> Weights:
    """Weights as the catalogue would name them if `content` were published at `url`."""
    digest = hashlib.sha256(content).hexdigest()
    return Weights("weights.pth", "MIT", "", url, digest, len(content))


def well(request: Request, content: bytes = CONTENT, upto: int | None = None) -> None:
    """All of it, or the range that was asked for; cut off before byte `upto`."""
    start = request.range_start
    valid = request.headers.get("If-Range", ETAG) == ETAG
    if start >= len(content):
        request.head(416, Content_Range=f"bytes */{len(content)}")
    elif start and valid:
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.head(206, Content_Range=told, Content_Length=len(content) - start, ETag=ETAG)
        request.wfile.write(content[start:upto])
    else:
        request.head(200, Content_Length=len(content), ETag=ETAG)
        request.wfile.write(content[:upto])


def cut(upto: int) -> Behaviour:
    return lambda request: well(request, upto=upto)


def whole(
    content: bytes, announced: int | None = None, kind: str = "application/octet-stream"
) -> Behaviour:
    """`content` from its start, whatever was asked for; its length may be a lie."""

    def answer(request: Request) -> None:
        length = len(content) if announced is None else announced
        request.head(200, Content_Length=length, Content_Type=kind)
        request.wfile.write(content)

    return answer


def unmeasured(content: bytes) -> Behaviour:
    """`content` without its length: the end of the connection is the end of the file."""

    def answer(request: Request) -> None:
        request.head(200)
        request.wfile.write(content)

    return answer


def status(code: int, **headers: object) -> Behaviour:
    return lambda request: request.head(code, **headers)


def stalling(upto: int) -> Behaviour:
    """Sends `upto` bytes, then nothing, and keeps the connection."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=len(CONTENT), ETag=ETAG)
        request.wfile.write(CONTENT[:upto])
        request.server.closing.wait(10)

    return answer


def trickling(request: Request) -> None:
    """A byte every 20 ms."""
    request.head(200, Content_Length=len(CONTENT))
    for byte in CONTENT:
        request.wfile.write(bytes([byte]))
        if request.server.closing.wait(0.02):
            return
