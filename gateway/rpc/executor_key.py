"""The key that the gateway shows to Executors, whose own ports it opens."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

Continuation = Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]]


def make_key_interceptors(key: str | None) -> list[grpc.aio.ClientInterceptor]:
    """Return what adds `authorization` to every call that Jina makes; nothing without a key."""
    return [] if key is None else [_KeyedUnary(key), _KeyedStream(key)]


class _Keyed:
    """Adds the key to calls."""

    def __init__(self, key: str) -> None:
        self._key = key

    def _add_key(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata["authorization"] = self._key
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _KeyedUnary(_Keyed, grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the key to requests and to discovery."""

    async def intercept_unary_unary(
        self,
        continuation: Continuation,
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Return the call that `continuation` makes, with the key."""
        return await continuation(self._add_key(client_call_details), request)


class _KeyedStream(_Keyed, grpc.aio.StreamStreamClientInterceptor):
    """Adds the key to Jina's question for services, a stream."""

    async def intercept_stream_stream(
        self,
        continuation: Continuation,
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        """Return the call that `continuation` makes, with the key."""
        return await continuation(self._add_key(client_call_details), request_iterator)
