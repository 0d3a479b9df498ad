import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from executors.source import SourcePolicy, read_source
from superres.errors import BadImage, BadSource, SuperresError, TooLarge

PICTURE = bytes(range(256)) * 8
LOOPBACK = ("127.0.0.1/32",)

Script = Callable[[socket.socket, str], None]


def reply(
    body: bytes = PICTURE, status: str = "200 OK", length: int | None = -1, **headers: str
) -> Script:
    """A script that sends one answer; `length` -1 is the true one, None leaves it out."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return lambda connection, _path: connection.sendall(head + body)


def redirect(location: str, status: str = "302 Found") -> Script:
    return reply(b"", status, Location=location)


@dataclass
class Server:
    """A listening socket that plays `script` to each connection and counts them."""

    script: Script
    listener: socket.socket
    context: ssl.SSLContext | None = None
    requests: list[str] = field(default_factory=list)
    contacts: int = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def guards(self) -> SourcePolicy:
        return SourcePolicy(ports=(self.port,), private_networks=LOOPBACK, seconds=5)

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.contacts += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError), closing(connection):
            connection.settimeout(5)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with closing(connection):
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                    head += piece
                self.requests.append(head.decode("latin-1"))
                self.script(connection, self.requests[-1].split(" ")[1])
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)


@contextmanager
def serving(
    script: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Server]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    server = Server(script, listener, context)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def names(**addresses: list[str]) -> Callable[[str], list[str]]:
    """A resolver that knows only `addresses`, dots written as double underscores."""
    table = {name.replace("__", "."): found for name, found in addresses.items()}

    def resolve(host: str) -> list[str]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return table[host]

    return resolve


def nobody(host: str) -> list[str]:
    raise AssertionError(f"{host} must not be looked up")


def refusal(
    uri: str, guards: SourcePolicy | None = None, resolve: Callable[[str], list[str]] = nobody
) -> SuperresError:
    """The error of reading `uri`, with what every such error has checked."""
    with pytest.raises((BadSource, BadImage, TooLarge)) as caught:
        read_source(uri, guards or SourcePolicy(), resolve)
    assert caught.value.option == "uri"
    assert "expected" in str(caught.value)
    assert len(str(caught.value)) <= 300
    return caught.value


def outcome(
    uri: str, guards: SourcePolicy, resolve: Callable[[str], list[str]]
) -> bytes | SuperresError:
    """The bytes or the error of reading `uri`; any other exception passes."""
    try:
        return read_source(uri, guards, resolve)
    except SuperresError as error:
        return error
