"""Servers of our own: one that must never be visited, and one that sends its visitors on."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from tests.inputs import png


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
    """`/picture` is one, `/to/<quoted URL>` leads there, `/hops/3` to the picture in three."""

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
        _, kind, rest = self.path.split("/", 2) if self.path != "/picture" else ("", "", "")
        if not kind or (kind, rest) == ("hops", "0"):
            self._send(200, png())
        elif kind == "hops":
            self._send(302, location=f"/hops/{int(rest) - 1}")
        elif kind == "loop":
            self._send(302, location=self.path)
        else:
            self._send(302, location=unquote(rest))

    def _send(self, status: int, body: bytes = b"", location: str | None = None) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
