"""API keys: every protocol needs `authorization` once one is set; health and page stay open."""

import hmac
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.problem import Problem
from gateway.core.request_id import read_request_id

VARIABLE = "SUPERRES_API_KEYS"
_ABSENT = frozenset({"", "undefined", "None", "null"})
"""What the official clients send when their user gave no token."""

_NEEDED = Problem("KEY", 'a valid API key is needed: send it as "authorization"', status=401)
_HEALTH_SERVICE = "/grpc.health.v1.Health/"


class Keys:
    """The keys that open the service; empty means open to everyone."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def admit(self, authorization: str | None) -> bool:
        """Return whether `authorization`, bare or `Bearer <key>`, is one of the keys; constant
        time.
        """
        token = (authorization or "").strip()
        if token[:7].lower() == "bearer ":
            token = token[7:].strip()
        if not self._keys:
            return True
        offered = token.encode(errors="surrogateescape")
        matches = [hmac.compare_digest(offered, key) for key in self._keys]
        return any(matches) and token not in _ABSENT


def keys_from(setting: str | Iterable[str] | None) -> Keys:
    """Return the keys of the setting `api_keys` (list, or text with commas) and
    $SUPERRES_API_KEYS.
    """
    listed = setting.split(",") if isinstance(setting, str) else [str(key) for key in setting or ()]
    texts = [key.strip() for key in listed + os.environ.get(VARIABLE, "").split(",")]
    useless = sorted(_ABSENT.intersection(texts) - {""})
    if useless:
        raise ValueError(
            f'api_keys "{useless[0]}": clients without a key send that; choose another'
        )
    return Keys(text for text in texts if text)


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
    body = json.dumps(_NEEDED.as_dict(request_id)).encode()
    await send({"type": "http.response.start", "status": _NEEDED.status, "headers": headers})
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
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, _NEEDED.message)

    async def answers(_request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, _NEEDED.message)
        yield  # an asynchronous generator, as streaming responses need

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(answers if handler.response_streaming else answer)
