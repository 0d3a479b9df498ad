"""Endpoints of images for people and browsers: an image file in, an image file out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from google.protobuf.json_format import MessageToDict
from jina.types.request.data import DataRequest

from contract.options import MASK_ENDPOINTS, TEXT_ENDPOINTS
from contract.problem import Problem, make_error, make_problem, quote
from gateway.core.request_id import read_request_id
from gateway.web.jina_json import request_from_json
from gateway.web.multipart import FormPart, parse_form
from gateway.web.options import read_options
from gateway.web.request_body import check_coding, is_json, media_type
from gateway.web.responses import answer_response, make_refusal_response

_FILE_FIELDS = ("file", "image")
_MASK_FIELD = "mask"
FORM = "multipart/form-data"

_FORMS = f"an image file, {FORM}, or Jina's application/json"
_UNNAMED = frozenset({"", "application/x-www-form-urlencoded"})
"""Content types that say nothing: curl sends the second with whatever it is given."""


class ImageCall:
    """One request to an endpoint of images in whatever form, and its answer in the form that
    belongs to it.

    Raises ProblemError for a form that is none, before the body is read.
    """

    def __init__(self, request: Request, endpoint: str) -> None:
        self._endpoint = endpoint
        check_coding(request)
        self._request = request
        self._media = media_type(request)
        if self._media.startswith("multipart/") and self._media != FORM:
            raise make_error(
                "CONTENT_TYPE",
                f"content-type {quote(self._media)}: expected {_FORMS}",
                option="content-type",
                allowed=_FORMS,
            )
        self._query = list(request.query_params.multi_items())
        self._as_json = wants_json(request.headers.get("accept", ""))

    def read(self, body: bytes) -> DataRequest:
        """Return the request in `body`. Raises ProblemError for one that cannot be read."""
        is_object = self._media in _UNNAMED and body[:64].lstrip()[:1] == b"{"  # no image does
        if is_json(self._media) or is_object:
            self._as_json = True
            return self._from_json(body)
        if self._media == FORM:
            content_type = self._request.headers["content-type"]
            return self._from_form(parse_form(body, content_type))
        if self._endpoint in TEXT_ENDPOINTS:
            return self._with(b"", read_options(self._endpoint, [*self._query, *_fields(body)]))
        return self._with(body, read_options(self._endpoint, self._query))

    async def write(self, answer: DataRequest) -> Response:
        """Return the answer as an image file, or as JSON where the client has asked for that."""
        if self._as_json:
            return await answer_response(answer)
        image = _make_image_response(answer, self._endpoint)
        return make_refusal_response(self._request, image) if isinstance(image, Problem) else image

    def _from_json(self, body: bytes) -> DataRequest:
        if self._query:
            name = self._query[0][0][:40]
            message = f"{quote(name)} in the query: expected it in the JSON body's parameters"
            raise make_error("OPTION", message, option=name, allowed="no query")
        return request_from_json(body, self._endpoint)

    def _from_form(self, parts: Sequence[FormPart]) -> DataRequest:
        files = [part for part in parts if part.name in _FILE_FIELDS or part.file_name is not None]
        masks = [part for part in files if part.name == _MASK_FIELD and part.file_name is not None]
        masks = masks if self._endpoint in MASK_ENDPOINTS else []
        files = [part for part in files if part not in masks[:1]]
        if files or self._endpoint not in TEXT_ENDPOINTS:
            _check_only_file(files)
        fields = [(part.name, _text(part)) for part in parts if part.file_name is None]
        options = read_options(self._endpoint, [*self._query, *fields])
        if not files:
            return self._with(b"", options)
        request = self._with(files[0].data, options)
        if masks:
            request.proto_with_data.data.docs.docs[0].chunks.add().blob = masks[0].data
        return request

    def _with(self, image: bytes, options: Mapping[str, str]) -> DataRequest:
        """Return a request with one Document: the image as blob, the options as tags.

        Tags, because a Flow's `when` can choose an Executor by them. The Document has the
        request's id, so that an Executor's log and errors name what the client knows.
        """
        if not image and self._endpoint not in TEXT_ENDPOINTS:
            message = "the image is empty: send a file's bytes, as curl --data-binary @a.jpg"
            raise make_error("NO_IMAGE", message, option="body", allowed=_FORMS)
        request = DataRequest()
        request.header.exec_endpoint = self._endpoint
        # Straight into the message: docarray would copy the image twice.
        doc = request.proto_with_data.data.docs.docs.add()
        doc.id = read_request_id(self._request.scope)
        if image:
            doc.blob = image
        doc.tags.update(options)
        return request


def _check_only_file(files: Sequence[FormPart]) -> None:
    """Check that a form has one image. Raises ProblemError."""
    if len(files) != 1 or files[0].name not in _FILE_FIELDS or files[0].file_name is None:
        expected = "one file, named file or image"
        found = ", ".join(quote(part.name, 40) for part in files[:4]) or "none"
        message = f"the form's files are {found}: expected {expected}"
        raise make_error("FORM", message, allowed=expected)


def wants_json(accept: str) -> bool:
    """Return whether an Accept header asks for JSON rather than an image."""
    types = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "application/json" in types and not any(kind.startswith("image/") for kind in types)


def name_record(endpoint: str) -> str:
    """Return the header with an endpoint's record as JSON: X-Upscale has the tag upscale."""
    return f"X-{endpoint[1:].title()}"


def _make_image_response(answer: DataRequest, endpoint: str) -> Response | Problem:
    """Return the image file in an answer with its record in the headers, or why there is none."""
    docs = answer.proto_with_data.data.docs.docs
    tags: dict[str, Any] = MessageToDict(docs[0].tags) if docs else {}
    if isinstance(tags.get("error"), dict):
        return _problem(tags["error"])
    if not docs or not docs[0].blob:
        return Problem("MODEL", "no model has taken the image", "model", "one of /models", 422)
    kind, record = docs[0].mime_type, whole_numbers(tags.get(endpoint[1:], {}))
    return Response(
        docs[0].blob,
        media_type=kind if kind.startswith("image/") else "application/octet-stream",
        headers={
            name_record(endpoint): json.dumps(record, separators=(",", ":")),
            "X-Content-Type-Options": "nosniff",
        },
    )


def whole_numbers(value: Any) -> Any:
    """Return `value` from protobuf, which knows floats only, with 3 in place of 3.0 everywhere."""
    if isinstance(value, dict):
        return {name: whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _problem(error: Mapping[str, Any]) -> Problem:
    code, message = str(error.get("code", "FAILED")), str(error.get("message", "it failed"))
    option, allowed = error.get("option"), error.get("allowed")
    return make_problem(code, message, option=option, allowed=allowed)


def _fields(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a body as HTML's forms write it, by which curl -d sends a prompt."""
    try:
        text = body.decode()
        return parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=100
        )
    except ValueError as error:
        expected = "the options in the query or as fields, and no image"
        raise make_error("FORM", f"the body: expected {expected}", allowed=expected) from error


def _text(part: FormPart) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError as error:
        raise make_error("FORM", f"field {quote(part.name, 40)}: expected UTF-8 text") from error
