"""What HTTP answers look like: JSON, errors, and headers that belong to both."""

import json
import logging

from fastapi import FastAPI, Request, Response
from jina.types.request.data import DataRequest
from starlette.exceptions import HTTPException

from contract.problem import RETRIABLE, Problem, ProblemError, quote
from gateway.core.offload import offload
from gateway.core.problem import INTERNAL
from gateway.core.request_id import read_request_id
from gateway.web.jina_json import answer_to_json

log = logging.getLogger("gateway")


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return `value` as JSON."""
    return Response(json.dumps(value), status, headers, media_type="application/json")


async def answer_response(answer: DataRequest) -> Response:
    """Jina's JSON of an answer."""
    text = await offload(answer.proto_with_data.ByteSize(), answer_to_json, answer)
    return Response(text, media_type="application/json")


def error_response(problem: Problem, request_id: str | None = None) -> Response:
    """Return the one shape of every error: {code, message, option, allowed, doc_id?,
    request_id?}.
    """
    retry = {"Retry-After": str(problem.retry_after)}
    headers = retry if problem.status in RETRIABLE else {}
    if problem.code == "BYTES":
        headers["Connection"] = "close"  # the rest of the body is not worth waiting for
    return json_response(problem.as_dict(request_id), problem.status, headers)


def make_refusal_response(request: Request, problem: Problem) -> Response:
    """Return `problem` for a request that never reached an Executor, after one line in the log."""
    request_id = read_request_id(request.scope)
    log.warning("request %s: %s", request_id, problem.description)
    return error_response(problem, request_id)


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of `app` JSON: refusals, unknown paths and methods, defects."""
    app.add_exception_handler(ProblemError, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(Exception, _handle_defect)


async def _handle_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return make_refusal_response(request, error.problem)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "PATH", 405: "METHOD"}.get(error.status_code, "REQUEST")
    message = f"{request.method} {quote(request.url.path)}: {str(error.detail).lower()}"
    return make_refusal_response(request, Problem(code, message, status=error.status_code))


async def _handle_defect(request: Request, _error: Exception) -> Response:
    return make_refusal_response(request, INTERNAL)
