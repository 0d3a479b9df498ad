"""The gRPC server of an Executor: what a gateway needs, and nothing else.

Jina's own server runs a client's pickle (`docs_bytes`), reads messages of any size, lists its
protobuf files and its environment, and writes snapshots where it is told. This one

- refuses every call without a key once a key is set, before it reads the call's message;
- bounds messages, and checks them as bytes and once parsed (contract.wire_limits,
  contract.message_limits) before docarray sees them;
- has requests, streams of requests, endpoint discovery and health, and no other method;
- tells by reflection the names of these services alone: Jina's own gateways ask for them first.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from jina.proto import jina_pb2
from jina.serve.helper import get_server_side_grpc_options
from jina.serve.runtimes.servers import BaseServer
from jina.serve.runtimes.servers.grpc import GRPCServer
from jina.serve.runtimes.servers.http import FastAPIBaseServer
from jina.serve.runtimes.servers.websocket import WebSocketServer
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler
from jina.types.request.data import DataRequest

from contract.api_keys import KEY_NEEDED, Keys
from contract.message_limits import check_message
from contract.problem import ProblemError, make_error
from contract.wire_limits import check_wire
from executors.error_response import RequestFailed

_SERVICES = (
    "jina.JinaRPC",
    "jina.JinaSingleDataRequestRPC",
    "jina.JinaDataRequestRPC",
    "jina.JinaDiscoverEndpointsRPC",
)
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

SetUp = Callable[[Any], Awaitable[None]]

log = logging.getLogger("executors")


def close_server(runtime_args: object, keys: Keys, max_bytes: int) -> None:
    """Make the gRPC server that Jina starts for an Executor in this process a closed one.

    Jina offers no other place for it: it makes the server itself, after the Executor.

    Args:
        runtime_args: The Executor's; empty where no Jina runtime has made it, hence no server.
        keys: The keys that open it; empty means open to everyone who reaches the port.
        max_bytes: The largest message that is read.
    """
    if not vars(runtime_args):
        return

    async def set_up(self: GRPCServer) -> None:
        if not keys and self.host not in ("127.0.0.1", "localhost", "::1"):
            log.warning(
                "%s:%s is open to everyone who reaches it: set SUPERRES_API_KEYS, or bind it to "
                "127.0.0.1 behind a gateway",
                self.host,
                self.port,
            )
        await _start(self, ClosedService(self._request_handler, keys), max_bytes)

    _replace_setup(GRPCServer, set_up)
    for other in (FastAPIBaseServer, WebSocketServer):
        _replace_setup(other, _refuse_protocol)


def _replace_setup(server: type[BaseServer], set_up: SetUp) -> None:
    """Let `set_up` open the port of a kind of server that serves an Executor.

    A gateway, which may run in a thread of the same process, opens its own as before.
    """
    original: SetUp = server.setup_server

    async def choose(self: BaseServer) -> None:
        is_executor = isinstance(self._request_handler, WorkerRequestHandler)
        await (set_up if is_executor else original)(self)

    server.setup_server = choose


async def _refuse_protocol(self: BaseServer) -> None:
    """Jina's servers of other protocols read what they get unchecked."""
    raise ValueError(
        f"{self.name}: an Executor speaks gRPC; the gateway of a Flow speaks HTTP and WebSocket"
    )


async def _start(server: GRPCServer, service: "ClosedService", max_bytes: int) -> None:
    """Open the port of `server` for `service` and for health checks."""
    options = dict(server.grpc_server_options or {})
    options |= {"grpc.max_receive_message_length": max_bytes}
    server.server = grpc.aio.server(
        options=get_server_side_grpc_options(options),
        interceptors=server.grpc_tracing_server_interceptors,
    )
    server.server.add_generic_rpc_handlers((service,))
    health_pb2_grpc.add_HealthServicer_to_server(server.health_servicer, server.server)
    address = f"{server.host}:{server.port}"
    credentials = _read_credentials(server.ssl_keyfile, server.ssl_certfile)
    if credentials is None:
        server.server.add_insecure_port(address)
    else:
        server.server.add_secure_port(address, credentials)
    await server.server.start()
    for name in _SERVICES:
        await server.health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)


def _read_credentials(key: str | None, certificate: str | None) -> grpc.ServerCredentials | None:
    if key is None and certificate is None:
        return None
    if key is None or certificate is None:
        raise ValueError("ssl_keyfile and ssl_certfile: expected both or none")
    pair = (Path(key).read_bytes(), Path(certificate).read_bytes())
    return grpc.ssl_server_credentials((pair,))


class ClosedService(grpc.GenericRpcHandler):
    """The methods of an Executor, each behind the keys.

    Messages arrive as bytes, so that nothing is parsed before it is checked. Jina's `handler`
    calls the Executor.
    """

    def __init__(self, handler: Any, keys: Keys) -> None:
        self._handler = handler
        self._keys = keys
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        self._methods: Mapping[str, grpc.RpcMethodHandler] = {
            "/jina.JinaSingleDataRequestRPC/process_single_data": unary(self._answer_one),
            "/jina.JinaDataRequestRPC/process_data": unary(self._answer_list),
            "/jina.JinaRPC/Call": stream(self._answer_stream),
            "/jina.JinaDiscoverEndpointsRPC/endpoint_discovery": unary(self._list_endpoints),
            _REFLECTION: stream(self._list_services),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call; None, which is UNIMPLEMENTED, for any other method."""
        handler = self._methods.get(handler_call_details.method)
        metadata = dict(handler_call_details.invocation_metadata or ())
        if handler is None or self._keys.admit(metadata.get("authorization")):
            return handler
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(_refuse_stream)
        return grpc.unary_unary_rpc_method_handler(_refuse)

    async def _answer_one(self, data: bytes, context: ServicerContext) -> bytes:
        return await self._answer(data, "DataRequestProto", context)

    async def _answer_list(self, data: bytes, context: ServicerContext) -> bytes:
        return await self._answer(data, "DataRequestListProto", context)

    async def _answer_stream(
        self, messages: AsyncIterator[bytes], context: ServicerContext
    ) -> AsyncIterator[bytes]:
        async for data in messages:
            yield await self._answer(data, "DataRequestProto", context)

    async def _answer(self, data: bytes, form: str, context: ServicerContext) -> bytes:
        try:
            requests = _read_requests(data, form)
        except ProblemError as error:
            return _make_refusal(error, context)
        answer = await self._handler.process_data(requests, context)
        if answer.status.code == jina_pb2.StatusProto.ERROR:
            _drop_images(answer.proto)
        written: bytes = answer.to_bytes()
        return written

    async def _list_endpoints(self, _empty: bytes, context: ServicerContext) -> bytes:
        endpoints: Any = await self._handler.endpoint_discovery(None, context)
        written: bytes = endpoints.SerializeToString()
        return written

    async def _list_services(
        self, questions: AsyncIterator[bytes], _context: ServicerContext
    ) -> AsyncIterator[bytes]:
        async for data in questions:
            question = reflection_pb2.ServerReflectionRequest.FromString(data)
            answer = reflection_pb2.ServerReflectionResponse(original_request=question)
            if question.WhichOneof("message_request") == "list_services":
                for name in _SERVICES:
                    answer.list_services_response.service.add(name=name)
            else:
                answer.error_response.error_code = grpc.StatusCode.UNIMPLEMENTED.value[0]
                answer.error_response.error_message = "names of services only"
            yield answer.SerializeToString()


async def _refuse(_data: bytes, context: ServicerContext) -> bytes:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, KEY_NEEDED.message)
    raise AssertionError("abort raises")


async def _refuse_stream(
    _messages: AsyncIterator[bytes], context: ServicerContext
) -> AsyncIterator[bytes]:
    yield await _refuse(b"", context)


def _read_requests(data: bytes, form: str) -> list[DataRequest]:
    """Return the requests in a message. Raises ProblemError."""
    check_wire(data, form)
    try:
        message = getattr(jina_pb2, form).FromString(data)
    except DecodeError as error:
        raise make_error("REQUEST", "the message is damaged: it cannot be parsed") from error
    requests = [message] if form == "DataRequestProto" else list(message.requests)
    if not requests:
        raise make_error("REQUEST", "the message has no requests: expected one or more")
    for request in requests:
        check_message(request)
    return [DataRequest(request) for request in requests]


def _drop_images(answer: Any) -> None:
    """Take the images out of an error answer: Jina sends back what it was sent."""
    for document in answer.data.docs.docs:
        for name in ("blob", "tensor", "embedding", "text", "uri", "chunks", "matches"):
            document.ClearField(name)


def _make_refusal(error: ProblemError, context: ServicerContext) -> bytes:
    """Return an answer that says what Executors say of a request that failed as a whole."""
    log.warning("refused: %s", error)
    answer = DataRequest()
    answer.add_exception(RequestFailed(error.problem))
    context.set_trailing_metadata((("is-error", "true"),))
    written: bytes = answer.to_bytes()
    return written
