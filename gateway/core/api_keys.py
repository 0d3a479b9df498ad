"""API keys: every protocol needs `authorization` once one is set; health and page stay open."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.api_keys import KEY_NEEDED, Keys
from gateway.core.request_id import read_request_id

_HEALTH_SERVICE = "/grpc.health.v1.Health/"


class KeyedApp:
    """An ASGI application behind keys: HTTP 401 with JSON, WebSocket handshakes refused."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open(scope) or self._keys.admit(_header(scope, b"authorization")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(send, read_request_id(scope))

    def _open(self, scope: Scope) -> bool:
        if not self._keys or scope["type"] == "lifespan":
            return True
        path, method = scope["path"], scope.get("method")
        # The page asks its user for a key; it is the same for everyone.
        is_public = path in {"/", "/ui"} or path.startswith("/ui/")
        is_open = method == "OPTIONS" or (method in {"GET", "HEAD"} and is_public)
        return scope["type"] == "http" and is_open


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key.lower() == name:
            return cast(bytes, value).decode("utf-8", "surrogateescape")
    return None


async def _refuse(send: Send, request_id: str) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),
    ]
    body = json.dumps(KEY_NEEDED.as_dict(request_id)).encode()
    await send({"type": "http.response.start", "status": KEY_NEEDED.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class KeyedCalls(grpc.aio.ServerInterceptor):
    """Answers UNAUTHENTICATED to every gRPC call without a key, except health checks."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Jina's own handler, or one that aborts before it reads the request."""
        handler = await continuation(handler_call_details)
        metadata = dict(handler_call_details.invocation_metadata or ())
        is_health = handler_call_details.method.startswith(_HEALTH_SERVICE)
        if handler is None or is_health or self._keys.admit(metadata.get("authorization")):
            return handler
        return _refusing(handler)


def _refusing(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    async def answer(_request: Any, context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, KEY_NEEDED.message)

    async def answers(_request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, KEY_NEEDED.message)
        yield  # an asynchronous generator, as streaming responses need

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(answers if handler.response_streaming else answer)
