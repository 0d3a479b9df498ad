"""HTTP: Jina's endpoints with a bounded body, strict input and an error status for every error."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from google.protobuf.json_format import MessageToDict
from jina import __version__
from jina.types.request.data import DataRequest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.body import answer_to_json, request_from_json
from gateway.errors import INTERNAL, RETRIABLE, Problem, Refusal, refusal, shown
from gateway.exchange import Exchange, problem_in
from gateway.websocket import add_sockets

IDLE_SECONDS = 30.0
DISCARD_SECONDS = 5.0
ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
CLIENT_GONE = 499


@dataclass(frozen=True)
class Pages:
    """What the operator chose for the HTTP side."""

    title: str = "Super-resolution"
    description: str = "Upscales images: POST a Document per image to /upscale."
    cors: bool = False
    listed: tuple[str, ...] = ("/upscale",)


def make_app(exchange: Exchange, max_bytes: int, pages: Pages) -> FastAPI:
    """The application: health, dry run, status, /post, every Executor endpoint, and WebSockets."""
    app = FastAPI(title=pages.title, description=pages.description, version=__version__)
    if pages.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
        )
    _add_health(app, exchange)
    _add_posts(app, exchange, max_bytes, pages.listed)
    add_sockets(app, exchange)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)
    return app


def error_response(problem: Problem, request_id: str | None = None) -> Response:
    """The one shape of every error: {code, message, option, allowed, doc_id?, request_id?}."""
    headers = {"Retry-After": "1"} if problem.status in RETRIABLE else {}
    if problem.code == "BYTES":
        headers["Connection"] = "close"  # the rest of the body is not worth waiting for
    return json_response(problem.as_dict(request_id), problem.status, headers)


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`value` as JSON."""
    return Response(json.dumps(value), status, headers, media_type="application/json")


def _add_health(app: FastAPI, exchange: Exchange) -> None:
    @app.get("/", summary="Whether the gateway is up; open even where keys are needed")
    async def health() -> Response:
        draining = exchange.in_flight.draining
        return json_response({}, 503 if draining else 200)

    @app.get("/dry_run", summary="Whether every Executor answers")
    async def dry_run() -> Response:
        status = await exchange.dry_run()
        form = {"always_print_fields_with_no_presence": True, "use_integers_for_enums": True}
        return json_response(MessageToDict(status, preserving_proto_field_name=True, **form))

    @app.get("/status", summary="Jina's version")
    async def status() -> Response:
        return json_response({"jina": {"jina": __version__}, "envs": {}})


def _add_posts(app: FastAPI, exchange: Exchange, limit: int, listed: tuple[str, ...]) -> None:
    @app.post("/post", summary="Any endpoint, named by exec_endpoint", openapi_extra=_schema(True))
    async def post(request: Request) -> Response:
        return await _answered(request, exchange, limit, None)

    for path in listed:
        _add_listed(app, exchange, limit, path)

    @app.api_route("/{endpoint:path}", methods=ALL_METHODS, include_in_schema=False)
    async def other(request: Request, endpoint: str) -> Response:
        path = f"/{endpoint}"
        if path not in await exchange.endpoints():
            raise refusal("PATH", f"path {shown(path)}: expected /post, or an endpoint as /upscale")
        return await _posted(request, exchange, limit, path)


def _add_listed(app: FastAPI, exchange: Exchange, limit: int, path: str) -> None:
    @app.post(path, summary=f"The Executors' {path}", openapi_extra=_schema(False))
    async def listed(request: Request) -> Response:
        return await _answered(request, exchange, limit, path)


async def _posted(request: Request, exchange: Exchange, limit: int, path: str) -> Response:
    if request.method != "POST":
        raise refusal("METHOD", f"{shown(request.method)} {shown(path)}: expected POST")
    return await _answered(request, exchange, limit, path)


async def _answered(
    request: Request, exchange: Exchange, limit: int, endpoint: str | None
) -> Response:
    _check_headers(request)
    body = await read_body(request, limit)
    asked = await asyncio.to_thread(request_from_json, body, endpoint)
    del body
    answer = await _unless_gone(request, exchange.answer(asked))
    if answer is None:
        return Response(status_code=CLIENT_GONE)
    problem = problem_in(answer)
    if problem is not None:
        return error_response(problem, answer.header.request_id)
    content = await asyncio.to_thread(answer_to_json, answer)
    return Response(content, media_type="application/json")


def _check_headers(request: Request) -> None:
    media = (
        request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    )
    if media != "application/json" and not media.endswith("+json"):
        raise refusal(
            "CONTENT_TYPE",
            f"content-type {shown(media)}: expected application/json",
            option="content-type",
            allowed="application/json",
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise refusal("CONTENT_TYPE", f"content-encoding {shown(coding)}: expected none")


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises Refusal BYTES beyond, BODY_TIMEOUT if it stalls."""
    announced = request.headers.get("content-length", "0")
    length = int(announced) if announced.isdigit() else 0
    if length > limit and request.headers.get("expect", "").lower() == "100-continue":
        raise _too_large(limit, length)
    body = bytearray()
    chunks = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), IDLE_SECONDS)
        except TimeoutError as error:
            raise refusal("BODY_TIMEOUT", f"the body stalled for {IDLE_SECONDS:g} s") from error
        if chunk is None:
            return bytes(body)
        body += chunk
        if max(len(body), length) > limit:
            await _discard(chunks, limit)
            raise _too_large(limit, max(len(body), length))


async def _discard(chunks: Any, limit: int) -> None:
    """Reads on for a while: a client that is still sending would miss the answer otherwise."""
    seen = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            async for chunk in chunks:
                seen += len(chunk)
                if seen > 2 * limit:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _too_large(limit: int, size: int) -> Refusal:
    message = f"the body has {size} bytes or more: expected at most {limit}"
    return refusal("BYTES", message, option="body", allowed=f"{limit} bytes")


async def _unless_gone(request: Request, answer: Awaitable[DataRequest]) -> DataRequest | None:
    """The answer, or None once the client has hung up: nobody waits for the work any more."""
    working = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        gone.cancel()
        working.cancel()


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _on_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error_response(error.problem)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "PATH", 405: "METHOD"}.get(error.status_code, "REQUEST")
    message = f"{request.method} {shown(request.url.path)}: {str(error.detail).lower()}"
    return error_response(Problem(code, message, status=error.status_code))


async def _on_defect(_request: Request, _error: Exception) -> Response:
    return error_response(INTERNAL)


def _schema(names_endpoint: bool) -> dict[str, Any]:
    """The OpenAPI description of a request body."""
    properties: dict[str, Any] = {
        "data": {"type": "array", "items": {"type": "object"}},
        "parameters": {"type": "object"},
        "target_executor": {"type": "string"},
    }
    example: dict[str, Any] = {"data": [{"blob": "<base64>"}], "parameters": {"scale": "800:-1"}}
    if names_endpoint:
        properties["exec_endpoint"] = {"type": "string"}
        example["exec_endpoint"] = "/upscale"
    content = {"schema": {"type": "object", "properties": properties}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
