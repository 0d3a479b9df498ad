"""Jina's JSON to requests and back: strict where docarray is lenient, base64 first of all."""

import json
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from jina._docarray import Document
from jina.types.request.data import DataRequest
from numpy.typing import NDArray
from pydantic import ValidationError

from contract.message_limits import make_type_error
from contract.problem import ProblemError, make_error, quote
from contract.wire_limits import (
    MAX_DEPTH,
    MAX_VALUES,
    check_documents,
    make_depth_error,
    make_values_error,
)
from gateway.web.json_reader import Body, Clipping, decode_base64, parse_json

_URI_SCHEMES = ("http://", "https://", "data:")
_ARRAYS = frozenset({"tensor", "embedding"})
_INNER = frozenset({"chunks", "matches"})
_READ_APART = _ARRAYS | _INNER | {"blob"}


def request_from_json(body: Body, endpoint: str | None = None) -> DataRequest:
    """Return the request in `body`.

    Args:
        body: A JSON object: `data` a list of Documents or {"docs": [...]}, `parameters`,
            `exec_endpoint` (or execEndpoint), `target_executor`.
        endpoint: The endpoint where the body need not name one.

    Returns:
        The request, its images and arrays in the message and not in docarray's Documents.

    Raises:
        ProblemError: JSON if it cannot be parsed, BASE64 for a blob, DOCUMENTS for too many,
            REQUEST for any other shape and for too many values.
    """
    payload = parse_json(body)
    if not isinstance(payload, dict):
        raise make_error("REQUEST", "the body: expected a JSON object with data and parameters")
    request = DataRequest()
    _read_header(request, payload, endpoint)
    parameters = payload.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise make_error("REQUEST", "parameters: expected a JSON object", option="parameters")
    documents = _list_documents(payload)
    values = ValueReader()
    try:
        request.parameters = values.read(parameters, "parameters")
        reader = DocumentReader(values, _find_only_id(documents))
        docs = request.proto_with_data.data.docs.docs
        for number, fields in enumerate(documents):
            reader.read(fields, docs.add(), f"data[{number}]")
    except ProblemError:
        raise
    except Exception as error:  # docarray, pydantic and protobuf each raise what they please
        raise make_error(
            "REQUEST", f"a field has a wrong type: {_describe_cause(error)}"
        ) from error
    return request


def _find_only_id(documents: list[object]) -> str | None:
    """Return the id of the Document at fault, where there is only one."""
    first = documents[0] if len(documents) == 1 else None
    name = first.get("id") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


def _read_header(request: DataRequest, payload: dict[str, Any], endpoint: str | None) -> None:
    """Fill the header of `request`."""
    header = request.header
    header.exec_endpoint = endpoint or _read_text(payload, "exec_endpoint", "execEndpoint", "/")
    header.target_executor = _read_text(payload, "target_executor", "targetExecutor", "")
    given = payload.get("header")
    if isinstance(given, dict):  # of a message on a WebSocket, whose client pairs answers by it
        header.request_id = _read_text(given, "request_id", "requestId", header.request_id)


def answer_to_json(answer: DataRequest) -> bytes:
    """Return `answer` as Jina's HTTP app writes it: camelCase header, Documents with base64
    blobs.
    """
    return _json(_to_dict(answer, snake_case=False))


def answer_to_text(answer: DataRequest) -> str:
    """Return `answer` as Jina's WebSocket app writes it: snake_case header, blobs as base64."""
    return _json(_to_dict(answer, snake_case=True)).decode()


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
    return docs


class ValueReader:
    """Reads parameters and tags, and counts their values over a whole request."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, values: dict[str, Any], where: str) -> dict[str, Any]:
        """Return `values` without Clippings. Raises ProblemError REQUEST beyond a limit."""
        return {name: self._read(value, where, name, 1) for name, value in values.items()}

    def _read(self, value: Any, where: str, option: str, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise make_values_error(f"{where}.{quote(option, 40)}", option)
        if isinstance(value, Clipping):
            value = value.read()
        if isinstance(value, list | dict) and value:
            depth += 1
            if depth > MAX_DEPTH:
                raise make_depth_error(f"{where}.{quote(option, 40)}", option)
            if isinstance(value, list):
                return [self._read(inner, where, option, depth) for inner in value]
            return {name: self._read(v, where, option, depth) for name, v in value.items()}
        return value


class DocumentReader:
    """Reads Documents into protobuf's, and counts them with those inside them.

    Images and arrays go straight into the message: docarray would copy each of them twice.
    """

    def __init__(self, values: ValueReader, only_id: str | None) -> None:
        self._values = values
        self._only_id = only_id
        self._count = 0

    def read(self, fields: object, into: Any, where: str, depth: int = 1) -> None:
        """Fill the DocumentProto `into`. Raises ProblemError."""
        self._count += 1
        check_documents(self._count)
        if not isinstance(fields, dict):
            raise make_error("REQUEST", f"{where}: expected a JSON object", option="data")
        if depth > MAX_DEPTH:
            raise make_depth_error(where)
        given = {name: value for name, value in fields.items() if value is not None}
        rest = {name: value for name, value in given.items() if name not in _READ_APART}
        blob = given.get("blob")
        if isinstance(blob, str) and blob[:8].lower().startswith(_URI_SCHEMES):
            # The npm client, given a large image by URL, sends the URL itself as blob.
            rest["uri"], blob = blob, None
        into.MergeFrom(Document.from_dict(self._read_rest(rest, where)).to_protobuf())
        try:
            if blob is not None:
                into.blob = _decode_blob(blob, f"{where}.blob")
            for name in _ARRAYS & given.keys():
                _write_array(_read_array(given[name], f"{where}.{name}", name), getattr(into, name))
        except ProblemError as error:
            raise ProblemError(error.problem.with_document(self._only_id)) from error
        for name in _INNER & given.keys():
            self._read_inner(given[name], getattr(into, name), f"{where}.{name}", depth + 1)

    def _read_inner(self, documents: object, into: Any, where: str, depth: int) -> None:
        """Fill the chunks or matches of a Document."""
        if not isinstance(documents, list):
            raise make_error("REQUEST", f"{where}: expected a list of Documents", option="data")
        for number, fields in enumerate(documents):
            self.read(fields, into.add(), f"{where}[{number}]", depth)

    def _read_rest(self, rest: dict[str, Any], where: str) -> dict[str, Any]:
        """Return fields other than images, arrays and Documents, their values counted."""
        tags = rest.get("tags")
        if isinstance(tags, dict):
            rest["tags"] = self._values.read(tags, f"{where}.tags")
        return {n: v.read() if isinstance(v, Clipping) else v for n, v in rest.items()}


def _read_array(value: Any, where: str, name: str) -> NDArray[Any]:
    """Return a tensor or an embedding. Raises ProblemError REQUEST or DTYPE."""
    try:
        array = value.read_numbers() if isinstance(value, Clipping) else np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        expected = "nested lists of numbers, all of one length in each dimension"
        message = f"{where}: expected {expected} ({str(error)[:80]})"
        raise make_error("REQUEST", message, option=name, allowed=expected) from error
    if array.dtype.kind in "biuf":
        return array
    raise make_type_error(where, array.dtype.str, name)


def _write_array(array: NDArray[Any], into: Any) -> None:
    """Fill a NdArrayProto."""
    into.cls_name = "numpy"
    into.dense.buffer = array.tobytes()
    into.dense.shape.extend(array.shape)
    into.dense.dtype = array.dtype.str


def _decode_blob(text: object, where: str) -> bytes:
    expected = "standard base64 with padding"
    try:
        if isinstance(text, Clipping) and text.is_text:
            return text.read_base64()
        if isinstance(text, str):
            return decode_base64(text.encode("ascii"))
    except ValueError as error:
        hint = "; it looks URL-safe, use + and /" if _looks_url_safe(text) else ""
        message = f"{where}: expected {expected} ({_describe_cause(error)}{hint})"
        raise make_error("BASE64", message, option="blob", allowed=expected) from error
    raise make_error("BASE64", f"{where}: expected text", option="blob", allowed=expected)


def _looks_url_safe(text: object) -> bool:
    """Return whether the end of a base64 text has characters of its URL-safe form."""
    if isinstance(text, Clipping):
        return bool(
            set(b"-_").intersection(text.body[max(text.start, text.stop - 4096) : text.stop])
        )
    return isinstance(text, str) and bool({"-", "_"} & set(text[-4096:]))


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
