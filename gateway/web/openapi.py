"""The service's HTTP side in OpenAPI 3.1: what is accepted, what comes back, what goes wrong."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from contract.option import Option
from contract.options import ENDPOINT_OPTIONS, MASK_ENDPOINTS, TEXT_ENDPOINTS
from contract.problem import RETRIABLE, STATUS
from gateway.web.image_endpoint import name_record
from gateway.web.options import QUERY_OPTIONS

__all__ = ["ERRORS", "PageSettings", "describe_service"]

Json: TypeAlias = dict[str, Any]

_DATA: Json = yaml.safe_load(Path(__file__).with_name("openapi.yml").read_text(encoding="utf-8"))
_REQUEST_ID = {"description": "The request's id.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}}

ERRORS: dict[int, str] = _DATA["errors"]
"""What goes wrong, by HTTP status."""


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
    texts = _DATA["texts"]
    listed = sorted(pages.listed, key=lambda path: path != "/upscale")  # that one first
    paths = {
        path: {"post": _describe_image(path) if path in QUERY_OPTIONS else _describe_endpoint(path)}
        for path in listed
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": pages.title,
            "description": f"{pages.description}\n\n"
            f"{texts['keyed' if pages.keyed else 'open']} {texts['rest']}",
            "version": version,
        },
        "paths": paths | _describe_paths(),
        "security": [{"key": []}] if pages.keyed else [],
        "components": {"schemas": _describe_schemas(), "securitySchemes": {"key": _DATA["key"]}},
    }


def _describe_paths() -> Json:
    """Return the paths that do not depend on the Executors."""
    return {
        path: {method: _complete(operation) for method, operation in methods.items()}
        for path, methods in _DATA["service"].items()
    }


def _describe_endpoint(path: str) -> Json:
    operation = _complete(_DATA["endpoint"])
    return operation | {"summary": operation["summary"].format(path=path)}


def _describe_image(path: str) -> Json:
    operation, options = _complete(_DATA["image"]), QUERY_OPTIONS[path]
    operation |= _DATA["images"][path]
    operation["parameters"] = [
        {
            "name": name,
            "in": "query",
            "description": _describe_option(name, option),
            "schema": option.schema,
        }
        for name, option in options.items()
    ]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    form["properties"] |= {name: option.schema for name, option in options.items()}
    if path in MASK_ENDPOINTS:
        form["properties"]["mask"] = form["properties"]["file"]
        form["required"] = ["mask"]
    if path in TEXT_ENDPOINTS:
        operation["requestBody"]["required"] = False
        form.pop("oneOf")
    headers = operation["responses"]["200"]["headers"]
    headers[name_record(path)] = headers.pop("X-Upscale")
    return operation


def _describe_schemas() -> Json:
    schemas: Json = deepcopy(_DATA["schemas"])
    schemas["Options"]["properties"] = {
        name: option.schema | {"description": _describe_option(name, option)}
        for options in ENDPOINT_OPTIONS.values()
        for option in options.values()
        for name in option.names
    }
    code = schemas["Error"]["properties"]["code"]
    code["description"] = code["description"].format(codes=", ".join(sorted(STATUS)))
    return schemas


def _complete(operation: Json) -> Json:
    """Return an operation with the header of every answer, and its errors."""
    made = deepcopy(operation)
    responses = made["responses"] | {str(s): _describe_error(s) for s in made.pop("errors")}
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | {"X-Request-ID": _REQUEST_ID}
    return made | {"responses": responses}


def _describe_error(status: int) -> Json:
    return {
        "description": ERRORS[status],
        "headers": {"Retry-After": _RETRY_AFTER} if status in RETRIABLE else {},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _describe_option(name: str, option: Option) -> str:
    """Return what an option does, in words: alias, models, default."""
    if name != option.name:
        return f"Another name of {option.name}."
    models = " Models that list it only." if option.models else ""
    default = f" Default: {option.default_text}." if option.default_text else ""
    where = "In parameters only. " if option.scope == "request" else ""
    return f"{where}{option.meaning}{models}{default}"
