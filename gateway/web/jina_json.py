"""Jina's JSON to requests and back: strict where docarray is lenient, base64 first of all."""

import binascii
import json
import math
from typing import Any, NoReturn

import numpy as np
from google.protobuf.json_format import MessageToDict
from jina._docarray import Document, DocumentArray
from jina.types.request.data import DataRequest
from numpy.typing import NDArray
from pydantic import ValidationError

from gateway.core.message_limits import check_documents
from gateway.core.problem import ProblemError, make_error

_URI_SCHEMES = ("http://", "https://", "data:")


def request_from_json(body: bytes, endpoint: str | None = None) -> DataRequest:
    """Return the request in `body`: `data` a list of Documents or {"docs": [...]}, `parameters`,
    `exec_endpoint` (or execEndpoint) unless `endpoint` is given, `target_executor`.

    Raises ProblemError: JSON if it cannot be parsed, BASE64 for a blob, REQUEST for any other
    shape.
    """
    return _request_from_dict(_parse_json(body), endpoint)


def _request_from_dict(payload: object, endpoint: str | None = None) -> DataRequest:
    """Return the request in parsed JSON, as for `request_from_json`."""
    if not isinstance(payload, dict):
        raise make_error("REQUEST", "the body: expected a JSON object with data and parameters")
    request = DataRequest()
    request.header.exec_endpoint = endpoint or _read_text(
        payload, "exec_endpoint", "execEndpoint", "/"
    )
    request.header.target_executor = _read_text(payload, "target_executor", "targetExecutor", "")
    header = payload.get("header")
    if isinstance(header, dict):  # of a message on a WebSocket, whose client pairs answers by it
        own = _read_text(header, "request_id", "requestId", request.header.request_id)
        request.header.request_id = own
    parameters = payload.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise make_error("REQUEST", "parameters: expected a JSON object", option="parameters")
    try:
        request.parameters = parameters
        docs = DocumentArray(
            [_read_document(doc, n) for n, doc in enumerate(_list_documents(payload))]
        )
        request.data.docs = docs
    except ProblemError:
        raise
    except Exception as error:  # docarray, pydantic and protobuf each raise what they please
        raise make_error(
            "REQUEST", f"a field has a wrong type: {_describe_cause(error)}"
        ) from error
    return request


def answer_to_json(answer: DataRequest) -> bytes:
    """Return `answer` as Jina's HTTP app writes it: camelCase header, Documents with base64
    blobs.
    """
    return _json(_to_dict(answer, snake_case=False))


def answer_to_text(answer: DataRequest) -> str:
    """Return `answer` as Jina's WebSocket app writes it: snake_case header, blobs as base64."""
    return _json(_to_dict(answer, snake_case=True)).decode()


def _parse_json(body: bytes) -> object:
    try:
        return json.loads(body, parse_float=_finite, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise make_error("JSON", f"the body is not JSON: {_describe_cause(error)}") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text[:20]} is too large")
    return number


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _read_text(payload: dict[str, Any], name: str, alias: str, default: str) -> str:
    value = payload.get(name, payload.get(alias))
    if value is None:
        return default
    if not isinstance(value, str) or not value.isprintable():
        raise make_error("REQUEST", f"{name}: expected text", option=name)
    return value


def _list_documents(payload: dict[str, Any]) -> list[object]:
    data = payload.get("data")
    docs = data.get("docs") if isinstance(data, dict) else data
    if docs is None:
        return []
    if not isinstance(docs, list):
        raise make_error("REQUEST", "data: expected a list of Documents", option="data")
    check_documents(len(docs))
    return docs


def _read_document(fields: object, number: int) -> Document:
    where = f"data[{number}]"
    if not isinstance(fields, dict):
        raise make_error("REQUEST", f"{where}: expected a JSON object", option="data")
    rest = {name: value for name, value in fields.items() if name != "blob" and value is not None}
    text = fields.get("blob")
    if isinstance(text, str) and text[:8].lower().startswith(_URI_SCHEMES):
        # The npm client, given a large image by URL, sends the URL itself as blob.
        rest["uri"], text = text, None
    doc = Document.from_dict(rest)
    if text is not None:
        doc.blob = _decode_base64(text, f"{where}.blob")
    if isinstance(doc.tensor, np.ndarray):
        doc.tensor = _to_levels(doc.tensor)
    return doc


def _to_levels(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in 0..255 as uint8, which JSON cannot say; any other tensor as it is."""
    is_whole = tensor.dtype.kind == "i" and tensor.size > 0
    if is_whole and tensor.min() >= 0 and tensor.max() <= 255:
        return tensor.astype(np.uint8)
    return tensor


def _decode_base64(text: object, where: str) -> bytes:
    expected = "standard base64 with padding"
    if not isinstance(text, str):
        raise make_error("BASE64", f"{where}: expected text", option="blob", allowed=expected)
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError as error:
        hint = "; it looks URL-safe, use + and /" if {"-", "_"} & set(text[-4096:]) else ""
        message = f"{where}: expected {expected} ({_describe_cause(error)}{hint})"
        raise make_error("BASE64", message, option="blob", allowed=expected) from error


def _describe_cause(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, UnicodeEncodeError):
        return "characters outside the expected set"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)[:120] or type(error).__name__


def _to_dict(answer: DataRequest, snake_case: bool) -> dict[str, Any]:
    for doc in answer.proto_with_data.data.docs.docs:
        for field in ("tensor", "embedding"):
            if doc.HasField(field):
                getattr(doc, field).cls_name = "numpy"  # any framework's array, read without it
    proto = answer.proto_with_data
    style = {"preserving_proto_field_name": snake_case, "use_integers_for_enums": True}
    return {
        "header": MessageToDict(proto.header, always_print_fields_with_no_presence=True, **style),
        "parameters": MessageToDict(proto.parameters),
        "routes": [MessageToDict(route, **style) for route in proto.routes],
        "data": answer.data.docs.to_dict(),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
