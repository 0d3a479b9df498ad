"""From a request to its answer, alike on every protocol: admit, ask, tell no secrets.

It stands in for Jina 3.34's RequestStreamer, which never ends after a broken stream, spins while a
stream is full, and lets the client choose how many requests wait.
"""

import asyncio
import logging
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from typing import Any

from google.protobuf.json_format import MessageToDict
from jina._docarray import Document, DocumentArray
from jina.constants import __default_endpoint__
from jina.excepts import InternalNetworkError
from jina.proto import jina_pb2
from jina.serve.executors import __dry_run_endpoint__
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.types.request.data import DataRequest

from contract.message_limits import check_message
from contract.options import ENDPOINT_OPTIONS
from contract.problem import Problem, ProblemError, make_error, quote
from gateway.core import routing
from gateway.core.error_answer import (
    describe_unreachable,
    find_problem,
    hide_cause,
    make_error_answer,
)
from gateway.core.in_flight import SHUTTING_DOWN, RequestsInFlight
from gateway.core.incoming import Incoming, open_request
from gateway.core.message_writer import write_request
from gateway.core.problem import INTERNAL
from gateway.core.request_id import HEADER, PARAMETER, ActiveRequests
from gateway.core.routing import Route, RoutedPart, Routes, ServedModel

_STREAM_WINDOW = 16
"""Requests of one stream that are answered at a time; its client waits with the others."""

_END_OF_FLOW = "__end_gateway__"
_DISCOVERY_SECONDS = 10.0
_DIRECT_SECONDS = 5.0
_UNSETTLED_SECONDS = 60.0
TARGET = re.compile(r"[\w/^$|.-]{0,128}")
"""Executor names and alternatives of them; without quantifiers a pattern cannot run away."""


log = logging.getLogger("gateway")


class RequestService:
    """Answers requests through the Flow's Executors, counting those in flight."""

    def __init__(self, streamer: GatewayStreamer, in_flight: RequestsInFlight) -> None:
        self.in_flight = in_flight
        self.active = ActiveRequests()
        self._graph = streamer.topology_graph
        # Jina 3.34 has no public way to these.
        self._pool = streamer._connection_pool  # noqa: SLF001
        self._send = streamer._streamer._request_handler  # noqa: SLF001
        self._finish = streamer._streamer._result_handler  # noqa: SLF001
        self._routes: Routes | None = None
        self._asks_again = 0.0
        self._refreshing: asyncio.Task[None] | None = None  # kept from the garbage collector

    async def answer(self, request: Incoming, request_id: str | None = None) -> DataRequest:
        """Return the Executors' answer, or an error answer that holds a Problem and no Documents.

        It has `request_id` where that is given and sane, else the request's own, else a new one.
        """
        request, refusal = open_request(request, request_id)
        if refusal is not None:
            return make_error_answer(request, refusal)
        name = request.header.request_id
        try:
            with self.in_flight.count_one(), self.active.track_one(name):
                await self._check_request(request)
                request.proto_with_data.parameters[PARAMETER] = name
                return hide_cause(await self._send_to_executors(request))
        except ProblemError as refused:
            return make_error_answer(request, refused.problem)
        except InternalNetworkError as error:
            log.error("request %s: %s", request.header.request_id, error.details())
            return make_error_answer(request, describe_unreachable(error))
        except asyncio.CancelledError:
            return self._answer_cancelled(request)
        except Exception:  # whatever it was, the client gets an answer and the log the cause
            log.exception("request %s", request.header.request_id)
            return make_error_answer(request, INTERNAL)

    def _answer_cancelled(self, request: DataRequest) -> DataRequest:
        """Return an answer if the shutdown has cancelled it; if the client left, nobody
        wants one.
        """
        task = asyncio.current_task()
        if not self.in_flight.draining or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        return make_error_answer(request, SHUTTING_DOWN)

    async def stream(
        self,
        request_iterator: AsyncIterable[Incoming] | Iterable[Incoming],
        context: Any = None,
        prefetch: int | None = None,
        **_from_jina: Any,
    ) -> AsyncGenerator[DataRequest, None]:
        """Yield the answers to a stream of requests, in their order.

        Always in order: the official client sends every Document as a request of its own and has
        no way to ask for it, and its users pair results with inputs.
        """
        metadata = read_metadata(context)
        window = _choose_window(metadata, prefetch or _STREAM_WINDOW)
        request_id = metadata.get(HEADER)
        source = _iterate(request_iterator)
        reading: asyncio.Task[Incoming | None] | None = _start_reading(source)
        answering: list[asyncio.Task[DataRequest]] = []
        try:
            while reading is not None or answering:
                awaited: set[asyncio.Future[Any]] = {*answering[:1]}
                if reading is not None and len(answering) < window:
                    awaited.add(reading)
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading in awaited and reading.done():
                    request = reading.result()
                    reading = None if request is None else _start_reading(source)
                    if request is not None:
                        answering.append(asyncio.create_task(self.answer(request, request_id)))
                while answering and answering[0].done():
                    yield answering.pop(0).result()
        finally:
            for task in answering:
                task.cancel()
            if reading is not None:
                reading.cancel()

    async def dry_run(self) -> jina_pb2.StatusProto:
        """SUCCESS if every Executor answers, else an error status."""
        request = DataRequest()
        request.header.exec_endpoint = __dry_run_endpoint__
        answer = await self.answer(request)
        status = jina_pb2.StatusProto()
        status.CopyFrom(answer.status)
        return status

    async def _check_request(self, request: DataRequest) -> None:
        message = request.proto_with_data
        message.ClearField("routes")  # the server's to tell, as is the status
        message.header.ClearField("status")
        check_message(message)
        self._check_target(request.header.target_executor)
        await self._check_endpoint(request.header.exec_endpoint)

    def _check_target(self, target: str) -> None:
        names = self._list_executors()
        if not target or (TARGET.fullmatch(target) and any(re.match(target, n) for n in names)):
            return
        allowed = ", ".join(sorted(names))
        raise make_error(
            "TARGET",
            f"target_executor {quote(target)}: expected one of {allowed}",
            option="target_executor",
            allowed=allowed,
        )

    def _list_executors(self) -> list[str]:
        """Return the names of the Flow's Executors, without the end that Jina puts after them."""
        return [node.name for node in self._graph.all_nodes if node.name != _END_OF_FLOW]

    async def _check_endpoint(self, endpoint: str) -> None:
        known = await self.list_endpoints()
        if endpoint == __dry_run_endpoint__ or {endpoint, __default_endpoint__} & known:
            return
        allowed = ", ".join(sorted(name for name in known if name.startswith("/")))
        raise make_error(
            "ENDPOINT",
            f"endpoint {quote(endpoint)}: expected one of {allowed}",
            option="exec_endpoint",
            allowed=allowed,
        )

    async def list_endpoints(self) -> frozenset[str]:
        """Return what the Executors listen to. Raises ProblemError if they cannot be asked."""
        asked = self._graph._get_all_endpoints(self._pool)  # noqa: SLF001
        try:
            return frozenset(await asyncio.wait_for(asked, _DISCOVERY_SECONDS))
        except (TimeoutError, InternalNetworkError) as error:
            raise make_error("UNAVAILABLE", "the models are not ready: retry later") from error

    async def query_executors(
        self, endpoint: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the tags of the Documents that each Executor with `endpoint` answers, asked by
        itself.

        It passes by the Flow's graph and is no request in flight: for questions about the service.
        Raises ProblemError if an Executor cannot be asked.
        """
        await self.list_endpoints()
        names = [n.name for n in self._graph.all_nodes if endpoint in (n.endpoints or ())]
        asked = [self._query_executor(name, endpoint, parameters or {}) for name in names]
        answers = zip(names, await asyncio.gather(*asked), strict=True)
        return [tags | {"executor": name} for name, answer in answers for tags in answer]

    async def _query_executor(
        self, executor: str, endpoint: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        request = DataRequest()
        request.header.exec_endpoint = endpoint
        request.parameters = dict(parameters)
        request.data.docs = DocumentArray([Document()])
        result = await self._pool.send_requests_once(
            [request], executor, head=True, endpoint=endpoint, timeout=_DIRECT_SECONDS
        )
        if isinstance(result, InternalNetworkError):
            raise ProblemError(describe_unreachable(result))
        if not isinstance(result, tuple) or find_problem(result[0]) is not None:
            log.error("%s of Executor %s failed: %s", endpoint, executor, result)
            raise ProblemError(INTERNAL)
        return [MessageToDict(doc.tags) for doc in result[0].proto_with_data.data.docs.docs]

    async def _send_to_executors(self, request: DataRequest) -> DataRequest:
        if request.header.exec_endpoint == routing.ENDPOINT:
            if len(self._graph.origin_nodes) > 1:
                return await self._send_by_model(request)
            names = self._list_executors()
            if len(names) == 1:  # Jina's own way there would copy the images twice
                return await self._send_to_one(request, names[0], retries=-1)
        elif (name := self._find_only_server(request.header.exec_endpoint)) is not None:
            return await self._send_to_one(request, name, retries=-1)
        answering, _ = self._send(request=request, return_type=DocumentArray)
        return self._finish(await answering)

    def _find_only_server(self, endpoint: str) -> str | None:
        """Return the one Executor that answers an endpoint of images; None for another endpoint.

        Jina would send the images to all of them.
        """
        if endpoint not in ENDPOINT_OPTIONS:
            return None
        names = [n.name for n in self._graph.all_nodes if endpoint in (n.endpoints or ())]
        return names[0] if len(names) == 1 else None

    async def _send_by_model(self, request: DataRequest) -> DataRequest:
        """Return each Document's answer from the Executor that serves its model, in their order."""
        documents, parameters = request.proto_with_data.data.docs.docs, request.parameters
        routes = await self._get_routes()
        marked = routing.should_tag_errors(parameters, len(documents))
        targets: list[Route | Problem] = []
        for document in documents:
            try:
                targets.append(routes.find_route(MessageToDict(document.tags), parameters))
            except ProblemError as refused:
                if not marked:
                    raise
                routing.mark_failed(document, refused.problem)
                targets.append(refused.problem)
        parts = routing.group_by_executor(targets)
        before = routing.write_choices(documents, targets)
        answer = await self._send_parts(request, parts, marked)
        if find_problem(answer) is None:
            answered = answer.proto_with_data.data.docs.docs
            routing.record_choices(answered, targets, before)
        return answer

    async def _send_parts(
        self, request: DataRequest, parts: Sequence[RoutedPart], marked: bool
    ) -> DataRequest:
        """Return the answer made of those of the Executors."""
        documents = request.proto_with_data.data.docs.docs
        if len(parts) == 1 and len(parts[0].places) == len(documents):
            return await self._send_to_one(request, parts[0].executor)
        asked = [
            self._send_to_one(routing.make_part_request(request, part, marked), part.executor)
            for part in parts
        ]
        for part, answer in zip(parts, await asyncio.gather(*asked), strict=True):
            if find_problem(answer) is not None:
                return answer
            answered = answer.proto_with_data.data.docs.docs
            for place, document in zip(part.places, answered, strict=True):
                documents[place].CopyFrom(document)
        return request

    async def _get_routes(self) -> Routes:
        """Return where models are served, which does not change while a Flow runs."""
        if self._routes is None:
            self._routes = await self._list_routes()
        elif not self._routes.is_settled and time.monotonic() >= self._asks_again:
            # Nobody waits for it, and an Executor that does not answer now keeps its old figures.
            self._asks_again = time.monotonic() + _UNSETTLED_SECONDS
            self._refreshing = asyncio.create_task(self._refresh_routes())
        return self._routes

    async def _refresh_routes(self) -> None:
        with suppress(ProblemError):
            self._routes = await self._list_routes()

    async def _list_routes(self) -> Routes:
        listed = await self.query_executors("/models")
        served = [ServedModel(tags["executor"], tags) for tags in listed]
        if not served:
            raise make_error("UNAVAILABLE", "no Executor serves a model")
        return Routes(served)

    async def _send_to_one(
        self, request: DataRequest, executor: str, retries: int = 0
    ) -> DataRequest:
        """Return one Executor's answer, past the Flow's graph; `request` loses its Documents.

        With `retries` -1 each replica is tried, as Jina does in a Flow of one Executor. Raises
        InternalNetworkError if none can be reached.
        """
        endpoint = request.header.exec_endpoint
        written = await asyncio.to_thread(write_request, request)
        result = await self._pool.send_requests_once(
            [DataRequest(written)], executor, head=True, endpoint=endpoint, retries=retries
        )
        if isinstance(result, InternalNetworkError):
            raise result
        answer: DataRequest = result[0]
        return answer


def read_metadata(context: Any) -> dict[str, Any]:
    """Return what a gRPC client sent beside its requests; empty on other protocols."""
    return dict(context.invocation_metadata() or ()) if context is not None else {}


def _choose_window(metadata: Mapping[str, Any], window: int) -> int:
    """Return what the client's metadata asks for, never more than STREAM_WINDOW."""
    asked = str(metadata.get("__prefetch__", window))
    window = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else window
    return max(1, min(window, _STREAM_WINDOW))


async def _iterate(
    requests: AsyncIterable[Incoming] | Iterable[Incoming],
) -> AsyncIterator[Incoming]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
        return
    for request in requests:
        yield request


def _start_reading(source: AsyncIterator[Incoming]) -> asyncio.Task[Incoming | None]:
    async def advance() -> Incoming | None:
        return await anext(source, None)

    return asyncio.create_task(advance())
