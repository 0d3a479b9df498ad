"""One question over every protocol, and the answer in one form that can be compared."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import grpc
import numpy as np
from google.protobuf.json_format import MessageToDict
from jina.proto import jina_pb2
from websockets.sync.client import ClientConnection, connect

from tests.gateway.service import Service
from tests.inputs import png

CALL = "/jina.JinaRPC/Call"
UNARY = "/jina.JinaSingleDataRequestRPC/process_single_data"
SECONDS = 30
VOLATILE = {"seconds", "peak_memory_mb"}
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

Fields = Mapping[str, Any]
"""A Document as a client writes it: id, blob (bytes), tensor (an array), uri, text, tags."""


@dataclass(frozen=True)
class Question:
    """What is sent to `/upscale`."""

    documents: tuple[Fields, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What came back: a problem with `code`, `message`, `option`, `allowed`, or Documents."""

    problem: dict[str, Any] | None
    documents: tuple[dict[str, Any], ...] = ()


def asked_for_picture() -> Question:
    """A good question."""
    return Question(({"id": "good", "blob": png(), "tags": {"image_format": "png"}},))


def as_json(question: Question) -> bytes:
    """The question as Jina's clients write it over HTTP and in a WebSocket's text."""
    documents = [{n: _in_json(v) for n, v in doc.items()} for doc in question.documents]
    parts = {"data": documents, "parameters": dict(question.parameters)}
    return json.dumps(parts | {"exec_endpoint": "/upscale"}).encode()


def as_proto(question: Question) -> bytes:
    """The question as protobuf: for gRPC, and for a WebSocket's bytes."""
    request = jina_pb2.DataRequestProto()
    request.header.exec_endpoint = "/upscale"
    request.parameters.update(question.parameters)
    request.data.docs.SetInParent()
    for doc in question.documents:
        written = request.data.docs.docs.add()
        for name, value in doc.items():
            if name == "tags":
                written.tags.update(value)
            elif name == "tensor":
                _write_tensor(written.tensor, value)
            else:
                setattr(written, name, value)
    return bytes(request.SerializeToString())


def _in_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.tolist() if isinstance(value, np.ndarray) else value


def _write_tensor(tensor: Any, array: Any) -> None:
    tensor.cls_name = "numpy"
    tensor.dense.buffer = array.tobytes()
    tensor.dense.shape.extend(array.shape)
    tensor.dense.dtype = array.dtype.str


def from_proto(data: bytes) -> Answer:
    """The answer in a protobuf message."""
    answer = jina_pb2.DataRequestProto.FromString(data)
    header = MessageToDict(answer.header, preserving_proto_field_name=True)
    documents = (
        {"id": d.id, "blob": d.blob, "mime_type": d.mime_type, "uri": d.uri, "text": d.text}
        | {"tensor": d.HasField("tensor"), "tags": MessageToDict(d.tags)}
        for d in answer.data.docs.docs
    )
    return _answer(header, documents)


def from_json(data: bytes | str) -> Answer:
    """The answer in JSON of a request that was answered, over HTTP or a WebSocket."""
    answer = json.loads(data)
    documents = (
        {name: d.get(name) or "" for name in ("id", "mime_type", "uri", "text")}
        | {"blob": b64decode(d.get("blob") or ""), "tags": d.get("tags") or {}}
        | {"tensor": d.get("tensor") is not None}
        for d in answer["data"] or []
    )
    return _answer(answer["header"], documents)


def _answer(header: Mapping[str, Any], documents: Iterator[dict[str, Any]]) -> Answer:
    status = header.get("status") or {}
    if status.get("code") in ("ERROR", jina_pb2.StatusProto.ERROR):
        problem = json.loads(status["exception"]["args"][0])
        assert status["description"] == f"{problem['code']}: {problem['message']}"
        assert not list(documents)
        return Answer(problem)
    return Answer(None, tuple(_settled(doc) for doc in documents))


def _settled(document: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one run to the next."""
    tags = dict(document["tags"])
    if "upscale" in tags:
        tags["upscale"] = {n: v for n, v in tags["upscale"].items() if n not in VOLATILE}
    return document | {"tags": tags}


class Wires:
    """Connections that stay open from one question to the next, one for each protocol."""

    def __init__(self, service: Service, stack: ExitStack) -> None:
        self.service = service
        channel = grpc.insecure_channel(f"localhost:{service.port}", UNLIMITED)
        stack.enter_context(channel)
        self._stream = channel.stream_stream(CALL)
        self._unary = channel.unary_unary(UNARY)
        self._health = channel.unary_unary("/grpc.health.v1.Health/Check")
        self.web = HTTPConnection("localhost", service.port, timeout=SECONDS)
        stack.callback(self.web.close)
        self._text = stack.enter_context(socket_to(service))
        self._binary = stack.enter_context(socket_to(service, "bytes"))

    @property
    def ways(self) -> dict[str, Callable[[Question], Answer]]:
        """How to ask, by name."""
        return {"grpc": self.grpc, "binary": self.binary, "http": self.http, "text": self.text}

    def grpc(self, question: Question) -> Answer:
        """Asked in the stream that Jina's clients use."""
        return self.sent(as_proto(question))

    def sent(self, request: bytes) -> Answer:
        """The answer to any message."""
        # To the end of the stream: a client that leaves before it makes gRPC log a stack.
        (answer,) = self._stream(iter([request]), timeout=SECONDS)
        return from_proto(answer)

    def unary(self, question: Question) -> Answer:
        """Asked in a call of its own."""
        return from_proto(self._unary(as_proto(question), timeout=SECONDS))

    def binary(self, question: Question) -> Answer:
        """Asked in a WebSocket's protobuf."""
        self._binary.send(as_proto(question))
        answer = self._binary.recv(SECONDS)
        assert isinstance(answer, bytes)
        return from_proto(answer)

    def http(self, question: Question) -> Answer:
        """Asked at /post; the status of an error is put where gRPC has it."""
        return self.posted(as_json(question))

    def posted(self, body: bytes, **headers: str) -> Answer:
        """The answer to any body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = {"content-type": "application/json"}
        response, told = self.page("POST", "/post", body, kind | named)
        assert response.headers["content-type"] == "application/json"
        if response.status == 200:
            return from_json(told)
        problem = json.loads(told) | {"status": response.status}
        assert problem.pop("request_id") == response.headers["x-request-id"]
        return Answer(problem)

    def text(self, question: Question) -> Answer:
        """Asked in a WebSocket's JSON."""
        return self.told(as_json(question).decode())

    def told(self, text: str) -> Answer:
        """The answer to any text in a WebSocket."""
        self._text.send(text)
        return from_json(self._text.recv(SECONDS))

    def page(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        """An HTTP answer, over a connection of its own: the server closes those that idle."""
        self.web.request(method, path, body, headers or {})
        response = self.web.getresponse()
        read = response.read()
        self.web.close()
        return response, read

    def healthy(self) -> bool:
        """Whether every protocol says so."""
        response, read = self.page("GET", "/")
        return (
            (response.status, read) == (200, b"{}")
            and self._health(b"") == b"\x08\x01"  # SERVING
            and self._text.ping().wait(SECONDS)
            and self._binary.ping().wait(SECONDS)
        )


@contextmanager
def wires_to(service: Service) -> Iterator[Wires]:
    """Connections to a service, closed at the end."""
    with ExitStack() as stack:
        yield Wires(service, stack)


def socket_to(service: Service, *subprotocols: Any) -> ClientConnection:
    """A WebSocket; JSON where no subprotocol is named."""
    url = f"ws://localhost:{service.port}/"
    options: Any = {"max_size": None, "compression": None, "close_timeout": 1}
    return connect(url, subprotocols=list(subprotocols) or None, **options)
