"""Servers of our own: one that must never be visited, and one that sends its visitors on."""

import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from tests.inputs import png

BOMB = zlib.compress(bytes(100_000_000), wbits=31)  # gzip


class Canary:
    """Listens on every address of this machine and notes whoever comes."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self._sockets = [socket.create_server(("", 0))]
        self.port: int = self._sockets[0].getsockname()[1]
        if socket.has_ipv6:
            six = socket.create_server(("::", self.port), family=socket.AF_INET6)
            self._sockets.append(six)

    def __enter__(self) -> Self:
        for listening in self._sockets:
            threading.Thread(target=self._note, args=[listening], daemon=True).start()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        for listening in self._sockets:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _note(self, listening: socket.socket) -> None:
        while True:
            try:
                visitor, (address, *_) = listening.accept()
            except OSError:  # closed
                return
            with visitor:
                self.visits.append(address)


class Redirector(ThreadingHTTPServer):
    """`/picture` is one, `/to/<quoted URL>` leads there, `/hops/3` to the image in three."""

    host = "127.0.0.2"  # all of 127.0.0.0/8 is this machine; this address alone is allowed
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((self.host, 0), Answering)

    @property
    def port(self) -> int:
        return self.server_port

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, kind, rest = f"{self.path}/".split("/", 2)
        rest = rest.removesuffix("/")
        answers: dict[str, Callable[[], None]] = {
            "picture": lambda: self._send(200, png()),
            "hops": lambda: self._hop(int(rest)),
            "loop": lambda: self._send(302, Location=self.path),
            "to": lambda: self._send(302, Location=unquote(rest)),
            "status": lambda: self._send(int(rest)),
            "page": lambda: self._send(200, b"<!doctype html><title>Log in</title>"),
            "bomb": lambda: self._send(200, BOMB, Content_Encoding="gzip"),
            "length": lambda: self._send(200, png(), Content_Length=rest),
            "endless": lambda: self._endless(bytes(2**16), 0),
            "drip": lambda: self._endless(b".", 0.2),
        }
        answers[kind]()

    def _hop(self, left: int) -> None:
        if left:
            self._send(302, Location=f"/hops/{left - 1}")
        else:
            self._send(200, png())

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self, piece: bytes, seconds: float) -> None:
        """A body without a length and without an end; the reader's leaving is the end."""
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(piece)
                time.sleep(seconds)

    def log_message(self, *_: object) -> None:
        """Quiet."""
