"""One TCP port for two servers: HTTP/2 goes to gRPC's unix socket, everything else to uvicorn.

The first bytes decide. HTTP/2 starts with a fixed preface (RFC 9113, 3.4), and gRPC is the only
HTTP/2 spoken here; HTTP/1.1 and WebSocket connections are handed to uvicorn's own protocol in the
same loop, so they cost nothing and keep the client's address.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SILENCE_SECONDS = 10.0
_HIGH_WATER = 1 << 20

MakeProtocol = Callable[[], asyncio.Protocol]


class Port:
    """The listening socket and the connections that no other server counts."""

    def __init__(self, web: MakeProtocol, grpc_path: str, tls: ssl.SSLContext | None) -> None:
        self.web = web
        self.grpc_path = grpc_path
        self.transports: set[asyncio.Transport] = set()
        self._empty = asyncio.Event()
        self.connecting: set[asyncio.Task[None]] = set()
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Sniffer(self), host, port, ssl=self._tls, backlog=1024
        )

    def stop_listening(self) -> None:
        """Refuses new connections; the existing ones stay."""
        if self._server is not None:
            self._server.close()

    async def close(self, seconds: float) -> None:
        """End every connection; what is already written has `seconds` to reach its client."""
        self.stop_listening()
        for task in self.connecting:
            task.cancel()
        for transport in list(self.transports):
            transport.close()
        self._empty.clear()
        try:
            async with asyncio.timeout(seconds):
                while self.transports:
                    await self._empty.wait()
        except TimeoutError:
            for transport in list(self.transports):
                transport.abort()

    def forget(self, transport: asyncio.Transport) -> None:
        """Count a connection out that has ended or belongs to uvicorn now."""
        self.transports.discard(transport)
        if not self.transports:
            self._empty.set()


class Sniffer(asyncio.Protocol):
    """Reads a connection's first bytes and gives the connection to whom it concerns."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._seen = b""
        self._decided = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._port.transports.add(self._transport)
        self._silence = asyncio.get_running_loop().call_later(_SILENCE_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        is_grpc = self._seen.startswith(PREFACE)
        if self._decided or (not is_grpc and PREFACE.startswith(self._seen)):
            return
        self._decided = True
        self._silence.cancel()
        if is_grpc:
            self._to_grpc()
        else:
            self._to_web()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._silence.cancel()
        self._port.forget(self._transport)

    def _to_web(self) -> None:
        self._port.forget(self._transport)
        protocol = self._port.web()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)

    def _to_grpc(self) -> None:
        self._transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._splice())
        self._port.connecting.add(task)
        task.add_done_callback(self._port.connecting.discard)

    async def _splice(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            server, _ = await loop.create_unix_connection(
                lambda: Half(self._transport, self._port), self._port.grpc_path
            )
        except OSError:
            self._transport.close()
            return
        if self._transport.is_closing():
            server.close()
            return
        self._transport.set_protocol(Half(server, self._port, self._transport))
        self._transport.set_write_buffer_limits(_HIGH_WATER)
        server.write(self._seen)
        self._transport.resume_reading()


class Half(asyncio.Protocol):
    """One end of a splice: what comes in here goes out at `peer`, as fast as that takes it."""

    def __init__(
        self, peer: asyncio.Transport, port: Port, own: asyncio.Transport | None = None
    ) -> None:
        self._peer = peer
        self._port = port
        self._own = own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._own = cast(asyncio.Transport, transport)
        self._own.set_write_buffer_limits(_HIGH_WATER)
        self._port.transports.add(self._own)

    def data_received(self, data: bytes) -> None:
        self._peer.write(data)

    def pause_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._own is not None:
            self._port.forget(self._own)
        self._peer.close()


def tls_context(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    """TLS for both protocols, or None without files. Raises ValueError if only one file is given.

    `http/1.1` comes first: curl and browsers offer both, and h2 would take them to gRPC.
    """
    if not certfile and not keyfile:
        return None
    if not certfile or not keyfile:
        raise ValueError("ssl_certfile and ssl_keyfile: expected both or neither")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1", "h2"])
    return context
