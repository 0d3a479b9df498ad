"""Calls to Executors that end when nobody waits for their answer any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc


class Cancelling(grpc.aio.UnaryUnaryClientInterceptor):
    """Passes the cancellation of a waiting task on to the call, hence to the Executor.

    Jina 3.34 waits for a call's metadata first, and gRPC cancels a call only with who waits for its
    answer: the work of a client that has gone would go on to its end.
    """

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Return the call, once it is over; its error is told to whoever asks for the answer."""
        call = await continuation(client_call_details, request)
        try:
            await call
        except asyncio.CancelledError:
            call.cancel()
            raise
        except grpc.aio.AioRpcError:
            return call
        return call
