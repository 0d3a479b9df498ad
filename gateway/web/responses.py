"""What HTTP answers look like: JSON, errors, and headers that belong to both."""

import json
import logging

from fastapi import FastAPI, Request, Response
from jina.types.request.data import DataRequest
from starlette.exceptions import HTTPException

from contract.problem import RETRIABLE, Problem, quote
from gateway.core.offload import beside
from gateway.core.problem import INTERNAL, Refusal
from gateway.core.request_id import identity_of
from gateway.web.jina_json import answer_to_json

log = logging.getLogger("gateway")


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`value` as JSON."""
    return Response(json.dumps(value), status, headers, media_type="application/json")


async def answer_response(answer: DataRequest) -> Response:
    """Jina's JSON of an answer."""
    text = await beside(answer.proto_with_data.ByteSize(), answer_to_json, answer)
    return Response(text, media_type="application/json")


def error_response(problem: Problem, request_id: str | None = None) -> Response:
    """The one shape of every error: {code, message, option, allowed, doc_id?, request_id?}."""
    retry = {"Retry-After": str(problem.retry_after)}
    headers = retry if problem.status in RETRIABLE else {}
    if problem.code == "BYTES":
        headers["Connection"] = "close"  # the rest of the body is not worth waiting for
    return json_response(problem.as_dict(request_id), problem.status, headers)


def refused(request: Request, problem: Problem) -> Response:
    """`problem` for a request that never reached an Executor, after one line in the log."""
    request_id = identity_of(request.scope)
    log.warning("request %s: %s", request_id, problem.description)
    return error_response(problem, request_id)


def add_error_handlers(app: FastAPI) -> None:
    """Makes every error of `app` JSON: refusals, unknown paths and methods, defects."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refused(request, error.problem)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "PATH", 405: "METHOD"}.get(error.status_code, "REQUEST")
    message = f"{request.method} {quote(request.url.path)}: {str(error.detail).lower()}"
    return refused(request, Problem(code, message, status=error.status_code))


async def _on_defect(request: Request, _error: Exception) -> Response:
    return refused(request, INTERNAL)
