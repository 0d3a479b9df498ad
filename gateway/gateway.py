"""The gateway that a Flow names: gRPC, HTTP and WebSocket on one port, drained before it stops."""

import asyncio
import json
import logging
import secrets
from collections.abc import Iterable
from functools import partial
from typing import Any

from jina.serve.runtimes.gateway.gateway import BaseGateway
from jina.serve.runtimes.servers import BaseServer
from jina.serve.runtimes.servers.composite import CompositeBaseServer
from jina.serve.runtimes.servers.grpc import GRPCServer
from uvicorn import Config, Server

from contract.api_keys import read_keys
from contract.parent_watchdog import end_with_parent
from gateway.core.api_keys import KeyedApp, KeyedCalls
from gateway.core.in_flight import RequestsInFlight
from gateway.core.request_id import Identified
from gateway.rpc.service import Handler
from gateway.server.header_timeout import PromptHead
from gateway.server.protocol_mux import Port, tls_context
from gateway.web.app import make_app
from gateway.web.openapi import PageSettings

MEBIBYTE = 1 << 20
_FLUSH_SECONDS = 1.0
_JINA_SETTINGS = frozenset(
    {
        "expose_graphql_endpoint",
        "is_cancel",
        "metas",
        "name",
        "no_crud_endpoints",
        "no_debug_endpoints",
        "req_handler_cls",
        "requests",
        "runtime_args",
    }
)
"""Arguments that Jina passes to every gateway beside its own command line."""

log = logging.getLogger("gateway")


class SinglePortGateway(CompositeBaseServer, BaseGateway):
    """One port for three protocols; settings go into the `uses_with` of the Flow's gateway block.

    max_request_mb: largest message on every protocol, MiB (base64 makes JSON a third larger).
    max_in_flight: requests answered at a time; beyond it OVERLOADED, HTTP 429.
    drain_seconds: how long requests in flight may take once the gateway is told to stop.
    api_keys: list, or text with commas; $SUPERRES_API_KEYS adds to it; empty means open.
    ssl_certfile, ssl_keyfile: TLS on all three, in the gateway block itself, never in the Flow's.
    expose_endpoints: JSON whose keys are the paths that the OpenAPI page lists.
    """

    def __init__(  # noqa: PLR0913 - Jina hands the settings over as keywords
        self,
        *,
        max_request_mb: float = 96,
        max_in_flight: int = 128,
        drain_seconds: float = 10,
        api_keys: str | Iterable[str] | None = None,
        title: str | None = None,
        description: str | None = None,
        cors: bool = False,
        expose_endpoints: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        **kwargs: Any,
    ) -> None:
        _check_names(kwargs)
        self.max_bytes = int(_positive("max_request_mb", max_request_mb) * MEBIBYTE)
        self.drain_seconds = _positive("drain_seconds", drain_seconds)
        self._tls = tls_context(ssl_certfile, ssl_keyfile)
        self._keys = read_keys(api_keys)
        self._pages = _pages(title, description, cors, expose_endpoints, bool(self._keys))
        handler = partial(Handler, executor_key=self._keys.first)
        super().__init__(**kwargs | {"req_handler_cls": handler})
        in_flight = RequestsInFlight(int(_positive("max_in_flight", max_in_flight)))
        self._service = self._request_handler.limit_to(in_flight)
        end_with_parent()
        self._stopping = False
        self._stopped = asyncio.Event()

    @property
    def _should_exit(self) -> bool:
        return self._stopped.is_set()

    async def setup_server(self) -> None:
        """Open the port. Raises OSError if it is taken."""
        # Linux's abstract sockets have no file that a killed process could leave behind.
        name = f"gateway-{secrets.token_hex(16)}"
        self._grpc = self._make_grpc(name)
        await self._grpc.setup_server()
        self._web = await _start_web(self._web_config())
        self._port = Port(self._web_protocol, f"\0{name}", self._tls)
        await self._port.open(self.host, self.port)
        log.info("gRPC, HTTP and WebSocket on %s:%d", self.host, self.port)

    async def run_server(self) -> None:
        """Serve until `shutdown` is over."""
        await asyncio.gather(self._web.main_loop(), self._stopped.wait())

    async def shutdown(self) -> None:
        """Refuses new requests, finishes those in flight in `drain_seconds`, closes everything."""
        if self._stopping:
            await self._stopped.wait()
            return
        self._stopping = True
        try:
            await self._stop()
        finally:
            await BaseServer.shutdown(self)
            self._stopped.set()

    async def _stop(self) -> None:
        self._port.stop_listening()
        await self._grpc.health_servicer.enter_graceful_shutdown()
        late = await self._service.in_flight.drain(self.drain_seconds)
        if late:
            log.warning("%d requests cancelled: not done in %g s", late, self.drain_seconds)
        await asyncio.gather(self._stop_grpc(), self._stop_web())
        await self._port.close(_FLUSH_SECONDS)

    async def _stop_grpc(self) -> None:
        await self._grpc.server.stop(grace=_FLUSH_SECONDS)  # answers on their way out
        await self._grpc.shutdown()

    async def _stop_web(self) -> None:
        self._web.should_exit = True
        await self._web.shutdown()
        for connection in list(self._web.server_state.connections):
            connection.transport.abort()

    def _make_grpc(self, socket: str) -> GRPCServer:
        settings = self._server_kwargs[0]
        settings["runtime_args"].update(host="unix-abstract", port=socket)
        options = dict(settings.pop("grpc_server_options", None) or {})
        options |= {"grpc.max_receive_message_length": self.max_bytes}
        server = GRPCServer(grpc_server_options=options, **settings)
        if self._keys:
            tracing = server.grpc_tracing_server_interceptors or ()
            server.grpc_tracing_server_interceptors = [*tracing, KeyedCalls(self._keys)]
        return server

    def _web_config(self) -> Config:
        app = KeyedApp(make_app(self._service, self.max_bytes, self._pages), self._keys)
        return Config(
            app=Identified(app, self._service.active),
            http=PromptHead,
            ws="websockets",
            ws_max_size=self.max_bytes,
            ws_max_queue=1,
            ws_per_message_deflate=False,  # images are compressed already
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="error",
            lifespan="off",
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(_FLUSH_SECONDS),
        )

    def _web_protocol(self) -> asyncio.Protocol:
        make: Any = self._web.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self._web.config, server_state=self._web.server_state, app_state={}
        )
        return protocol


async def _start_web(config: Config) -> Server:
    """Return a uvicorn server without a socket of its own: the Port hands it connections."""
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[])
    return server


def _pages(
    title: str | None,
    description: str | None,
    cors: bool,
    expose_endpoints: str | None,
    keyed: bool,
) -> PageSettings:
    default = PageSettings()
    listed = tuple(json.loads(expose_endpoints or "{}")) or default.listed
    title, description = title or default.title, description or default.description
    return PageSettings(title, description, bool(cors), listed, keyed)


def _check_names(settings: dict[str, Any]) -> None:
    """Raise ValueError for a setting that neither we nor Jina know."""
    runtime_args = settings.get("runtime_args") or {}
    unknown = settings.keys() - set(runtime_args) - _JINA_SETTINGS
    if unknown:
        ours = "max_request_mb, max_in_flight, drain_seconds, api_keys"
        raise ValueError(f'gateway setting "{min(unknown)}": expected one of {ours}')


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError(f"gateway setting {name} {value!r}: expected a number above 0")
    return value
