"""Jina's gRPC services over a RequestService: what a gRPC client can call, and nothing it
should not.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from jina import __version__
from jina.proto import jina_pb2
from jina.serve.runtimes.gateway.request_handling import GatewayRequestHandler
from jina.types.request.data import DataRequest

from gateway.core.in_flight import RequestsInFlight
from gateway.core.request_id import HEADER
from gateway.core.request_service import RequestService, read_metadata
from gateway.rpc.cancellation import Cancelling
from gateway.rpc.executor_key import make_key_interceptors
from gateway.rpc.message_size import count_bytes_as_they_are


class Handler(GatewayRequestHandler):
    """Jina's request handler whose answers come from `service`, set by `limit_to`."""

    service: RequestService

    def __init__(
        self,
        *args: Any,
        executor_key: str | None = None,
        aio_tracing_client_interceptors: Iterable[grpc.aio.ClientInterceptor] | None = None,
        **kwargs: Any,
    ) -> None:
        count_bytes_as_they_are()
        interceptors = [
            *(aio_tracing_client_interceptors or ()),
            *make_key_interceptors(executor_key),
            Cancelling(),
        ]
        super().__init__(*args, aio_tracing_client_interceptors=interceptors, **kwargs)

    def limit_to(self, in_flight: RequestsInFlight) -> RequestService:
        """Set the service that every protocol shares from now on."""
        self.service = RequestService(self.streamer, in_flight)
        self.streamer._streamer.stream = self.service.stream  # noqa: SLF001
        return self.service

    async def stream(
        self, request_iterator: Any, context: Any = None, *args: Any, **kwargs: Any
    ) -> AsyncIterator[DataRequest]:
        """Answer the bidirectional stream that Jina's Client and the official client use."""
        async for answer in self.service.stream(request_iterator, context, *args, **kwargs):
            yield answer

    Call = stream

    async def process_single_data(self, request: DataRequest, context: Any = None) -> DataRequest:
        """Answer one request."""
        return await self.service.answer(request, read_metadata(context).get(HEADER))

    async def dry_run(self, _empty: Any, _context: Any) -> jina_pb2.StatusProto:
        """Return whether every Executor answers."""
        return await self.service.dry_run()

    async def stream_doc(self, _request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Refused: single-Document streaming would pass by the service."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "use JinaRPC/Call")
        yield  # an asynchronous generator, as streaming responses need

    async def _status(self, _empty: Any, _context: Any) -> jina_pb2.JinaInfoProto:
        """Jina's version, without Jina's list of environment variables."""
        return jina_pb2.JinaInfoProto(jina={"jina": __version__})
