"""The service's HTTP side in OpenAPI 3.1: what is accepted, what comes back, what goes wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from contract.option import Option
from contract.options import REQUEST_OPTIONS
from contract.problem import STATUS
from gateway.web.options import IMAGE_OPTIONS

Json: TypeAlias = dict[str, Any]

_PICTURE_TYPES = ("image/*", "application/octet-stream", "application/x-www-form-urlencoded")
ERRORS = {
    400: "The body is no JSON, or a blob no standard base64.",
    401: "A valid API key is needed.",
    404: "No such path, or no Executor has the endpoint.",
    405: "The path has other methods.",
    408: "The body stalled.",
    413: "The body, the image or the number of Documents is too large.",
    415: "The content type or encoding is not accepted.",
    422: "An option, the image or the form of the request is wrong: the error says which.",
    429: "Too many requests are waiting: retry after Retry-After seconds.",
    500: "The server failed; its log has the cause under the request_id.",
    503: "The models cannot be reached, have no memory, or the server is stopping: retry.",
    504: "The time for the request is over.",
}
_RETRY = {429, 503}
_ERROR_CODES = ", ".join(sorted(STATUS))


@dataclass(frozen=True)
class PageSettings:
    """What the operator chose for the HTTP side; `keyed` says whether API keys are set."""

    title: str = "Super-resolution"
    description: str = "Upscales images: POST one to /upscale."
    cors: bool = False
    listed: tuple[str, ...] = ("/upscale",)
    keyed: bool = False


def describe_service(pages: PageSettings, version: str) -> Json:
    """Return the OpenAPI document of a gateway whose Executors' endpoints are `pages.listed`."""
    paths = {path: {"post": _endpoint(path)} for path in pages.listed if path != "/upscale"}
    if "/upscale" in pages.listed:
        paths = {"/upscale": {"post": _upscale()}} | paths
    return {
        "openapi": "3.1.0",
        "info": {
            "title": pages.title,
            "description": f"{pages.description}\n\n{_keys(pages)} {_REQUEST_IDS} {OTHERS}",
            "version": version,
        },
        "paths": paths | _service(),
        "security": [{"key": []}] if pages.keyed else [],
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"key": KEY}},
    }


KEY = {
    "type": "apiKey",
    "in": "header",
    "name": "authorization",
    "description": "The key itself, or Bearer and the key. In gRPC it is metadata of that name.",
}
_REQUEST_IDS = (
    "Every answer has the header X-Request-ID: the request's own where that is up to 128 letters, "
    "digits and ._-, else a new one; errors and the server's log name it too."
)
OTHERS = "gRPC (jina.JinaRPC) and WebSocket, at the path /, are on the same port."


def _keys(pages: PageSettings) -> str:
    if not pages.keyed:
        return "No API key is needed."
    return "An API key is needed, in the header authorization, except for / and /ui."


def _service() -> Json:
    """Return the paths that do not depend on the Executors."""
    return {
        "/post": {"post": _endpoint(None)},
        "/models": {"get": _get("The models that are served", "Models")},
        "/progress/{request_id}": {"get": _progress()},
        "/": {"get": _health()},
        "/dry_run": {"get": _get("Whether every Executor answers", "Status")},
        "/status": {"get": _get("Jina's version", "Version")},
    }


def _upscale() -> Json:
    return {
        "operationId": "upscale",
        "summary": "Upscale an image",
        "description": (
            "Three forms. An image file as the body, of any content type but JSON and multipart, "
            "options in the query. A form with the file and options as fields, or in the query. "
            "Jina's JSON, with options as a Document's tags or as parameters, which take no "
            "query. The first two are answered with an image file, or with JSON for "
            "Accept: application/json; the third with JSON. An option's empty value counts as "
            "absent."
        ),
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": _meaning(name, option),
                "schema": option.schema,
            }
            for name, option in IMAGE_OPTIONS.items()
        ],
        "requestBody": {"required": True, "content": _bodies()},
        "responses": {"200": _describe_answer()} | _errors(*(ERRORS.keys() - {405})),
    }


def _bodies() -> Json:
    file = {"contentMediaType": "application/octet-stream"}
    fields = {name: option.schema for name, option in IMAGE_OPTIONS.items()}
    form = {
        "type": "object",
        "description": "Exactly one of file and image.",
        "properties": {"file": file, "image": file} | fields,
        "oneOf": [{"required": ["file"]}, {"required": ["image"]}],
    }
    return {
        **{kind: {"schema": file} for kind in _PICTURE_TYPES},
        "multipart/form-data": {"schema": form},
        "application/json": _json_body(None),
    }


def _describe_answer() -> Json:
    record = {
        "description": "The record of the work: the answer's tag upscale as JSON.",
        "content": {"application/json": {"schema": _ref("Record")}},
    }
    return {
        "description": "The image; in JSON, the same Documents with their images in base64.",
        "headers": {"X-Upscale": record} | _id_header(),
        "content": {
            "image/*": {"schema": {"contentMediaType": "image/*"}},
            "application/json": {"schema": _ref("Answer")},
        },
    }


def _endpoint(path: str | None) -> Json:
    summary = f"The Executors' {path}" if path else "Any endpoint, named by exec_endpoint"
    content = {"application/json": _json_body(None if path else "/upscale")}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _answer("The Executors' answer", "Answer")}
        | _errors(*(ERRORS.keys() - {405})),
    }


def _json_body(endpoint: str | None) -> Json:
    example: Json = {"data": [{"blob": "<base64>"}], "parameters": {"scale": "800:-1"}}
    if endpoint:
        example["exec_endpoint"] = endpoint
    return {"schema": _ref("Request"), "example": example}


def _get(summary: str, schema: str) -> Json:
    return {
        "summary": summary,
        "responses": {"200": _answer(summary, schema)} | _errors(401, 503),
    }


def _progress() -> Json:
    events = {
        "description": (
            'Server-sent events about five times a second: data: {"done": n, "total": m} when it '
            'changes; at the end {"finished": true}, or {"unknown": true} where no request with '
            "the id has come within a few seconds. Comments keep the connection open."
        ),
        "headers": _id_header(),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    identity = {
        "name": "request_id",
        "in": "path",
        "required": True,
        "description": "What the other request has sent as X-Request-ID.",
        "schema": {"type": "string"},
    }
    return {
        "summary": "How far a request is",
        "parameters": [identity],
        "responses": {"200": events} | _errors(401, 429),
    }


def _health() -> Json:
    up = _answer("The gateway is up. A browser gets a page of links instead.", "Empty")
    down = {"description": "The gateway is stopping.", "headers": _id_header()}
    return {
        "summary": "Whether the gateway is up",
        "security": [],
        "responses": {"200": up, "503": down},
    }


def _answer(description: str, schema: str) -> Json:
    content = {"application/json": {"schema": _ref(schema)}}
    return {"description": description, "headers": _id_header(), "content": content}


def _errors(*statuses: int) -> Json:
    return {str(status): _error(status) for status in sorted((*statuses,))}


def _error(status: int) -> Json:
    seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {
        "description": ERRORS[status],
        "headers": _id_header() | ({"Retry-After": seconds} if status in _RETRY else {}),
        "content": {"application/json": {"schema": _ref("Error")}},
    }


def _id_header() -> Json:
    return {"X-Request-ID": {"description": "The request's id.", "schema": {"type": "string"}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _meaning(name: str, option: Option) -> str:
    """Return what an option does, in words: alias, models, default."""
    if name != option.name:
        return f"Another name of {option.name}."
    models = " Models that list it only." if option.models else ""
    default = f" Default: {option.default_text}." if option.default_text else ""
    where = "In parameters only. " if option.scope == "request" else ""
    return f"{where}{option.meaning}{models}{default}"


def _load_schemas() -> Json:
    """Load the components of the document, with the options and the error codes filled in."""
    text = Path(__file__).with_name("schemas.yml").read_text(encoding="utf-8")
    schemas: Json = yaml.safe_load(text.replace("{codes}", _ERROR_CODES))
    schemas["Options"]["properties"] = {
        name: option.schema | {"description": _meaning(name, option)}
        for option in REQUEST_OPTIONS.values()
        for name in option.names
    }
    return schemas


_SCHEMAS = _load_schemas()
