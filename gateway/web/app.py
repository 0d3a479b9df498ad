"""HTTP: Jina's endpoints with a bounded body, strict input and an error status for every error."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from google.protobuf.json_format import MessageToDict
from jina import __version__
from jina.types.request.data import DataRequest
from starlette.requests import ClientDisconnect

from contract.options import ENDPOINT_OPTIONS
from contract.problem import make_error, quote
from gateway.core.error_answer import find_problem
from gateway.core.offload import offload
from gateway.core.request_service import RequestService
from gateway.web import image_endpoint, progress_events, static_pages
from gateway.web.docs_page import docs_page
from gateway.web.jina_json import request_from_json
from gateway.web.openapi import PageSettings, describe_service
from gateway.web.request_body import (
    answer_unless_gone,
    check_coding,
    is_json,
    media_type,
    read_body,
)
from gateway.web.responses import add_error_handlers, answer_response, error_response, json_response
from gateway.web.websocket import add_sockets

_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_TOLD_HEADERS = [*map(image_endpoint.name_record, ENDPOINT_OPTIONS), "X-Request-ID", "Retry-After"]
_CLIENT_GONE = 499

Read = Callable[[bytes], DataRequest]
Write = Callable[[DataRequest], Awaitable[Response]]


def make_app(service: RequestService, max_bytes: int, pages: PageSettings) -> FastAPI:
    """Return the application: the page, health, models, progress, every endpoint, and
    WebSockets.
    """
    app = FastAPI(
        title=pages.title, version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    if pages.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_TOLD_HEADERS,
        )
    _add_health(app, service, pages)
    _add_pages(app, pages)
    _add_questions(app, service)
    _add_posts(app, service, max_bytes)
    add_sockets(app, service)
    add_error_handlers(app)
    return app


def _add_health(app: FastAPI, service: RequestService, pages: PageSettings) -> None:
    @app.api_route("/", methods=["GET", "HEAD"])
    async def health(request: Request) -> Response:
        draining = service.in_flight.draining
        if not draining and static_pages.wants_page(request.headers.get("accept", "")):
            return static_pages.welcome(pages.title)
        return json_response({}, 503 if draining else 200, {"Vary": "Accept"})

    @app.get("/dry_run")
    async def dry_run() -> Response:
        status = await service.dry_run()
        form = {"always_print_fields_with_no_presence": True, "use_integers_for_enums": True}
        return json_response(MessageToDict(status, preserving_proto_field_name=True, **form))

    @app.get("/status")
    async def status() -> Response:
        return json_response({"jina": {"jina": __version__}, "envs": {}})


def _add_pages(app: FastAPI, pages: PageSettings) -> None:
    description = describe_service(pages, __version__)
    text, policy = docs_page(description)
    page = static_pages.Page()

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return json_response(description)

    @app.get("/docs")
    async def docs() -> Response:
        return static_pages.html_response(text, policy)

    @app.api_route("/ui", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return await page.get_response("index.html", request.scope)

    app.mount("/ui", page)


def _add_questions(app: FastAPI, service: RequestService) -> None:
    places = progress_events.Places(min(progress_events.MAX_STREAMS, service.in_flight.limit))

    @app.get("/models")
    async def models() -> Response:
        listed = await service.query_executors("/models")
        endpoints = sorted(ENDPOINT_OPTIONS.keys() & await service.list_endpoints())
        models = [image_endpoint.whole_numbers(m) for m in listed if m]
        return json_response({"models": models, "endpoints": endpoints})

    @app.get("/progress/{request_id}")
    async def events(request_id: str) -> Response:
        return progress_events.ProgressStream(service, places, request_id)


def _add_posts(app: FastAPI, service: RequestService, limit: int) -> None:
    @app.post("/post")
    async def post(request: Request) -> Response:
        return await _answer_json(request, service, limit, None)

    @app.api_route("/{endpoint:path}", methods=_ALL_METHODS)
    async def other(request: Request, endpoint: str) -> Response:
        path = f"/{endpoint}"
        if request.method == "POST" and path == "/upscale":  # every service has it
            return await _answer_image(request, service, limit, path)
        if path not in await service.list_endpoints():
            raise make_error(
                "PATH", f"path {quote(path)}: expected /post, or an endpoint as /upscale"
            )
        if request.method != "POST":
            raise make_error("METHOD", f"{quote(request.method)} {quote(path)}: expected POST")
        if path in ENDPOINT_OPTIONS:
            return await _answer_image(request, service, limit, path)
        return await _answer_json(request, service, limit, path)


async def _answer_image(
    request: Request, service: RequestService, limit: int, endpoint: str
) -> Response:
    call = image_endpoint.ImageCall(request, endpoint)
    return await _answer(request, service, limit, call.read, call.write)


async def _answer_json(
    request: Request, service: RequestService, limit: int, endpoint: str | None
) -> Response:
    media = media_type(request)
    if media and not is_json(media):
        raise make_error(
            "CONTENT_TYPE",
            f"content-type {quote(media)}: expected application/json",
            option="content-type",
            allowed="application/json",
        )
    check_coding(request)
    read: Any = partial(request_from_json, endpoint=endpoint)
    return await _answer(request, service, limit, read, answer_response)


async def _read_and_answer(
    body: bytes, read: Read, service: RequestService, request_id: str
) -> DataRequest:
    asked = await offload(len(body), read, body)
    del body
    return await service.answer(asked, request_id)


async def _answer(
    request: Request, service: RequestService, limit: int, read: Read, write: Write
) -> Response:
    try:
        body = await read_body(request, limit)
    except ClientDisconnect:
        return Response(status_code=_CLIENT_GONE)
    answering = _read_and_answer(body, read, service, request.state.request_id)
    del body
    answer = await answer_unless_gone(request, answering)
    if answer is None:
        return Response(status_code=_CLIENT_GONE)
    problem = find_problem(answer)
    if problem is not None:
        return error_response(problem, answer.header.request_id)
    return await write(answer)
