"""The gateway over the wire: three protocols, one behaviour."""

import base64
import gc
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from jina import Client, Document, DocumentArray
from jina.excepts import BadServer
from jina.proto import jina_pb2
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.gateway.conftest import KEYS
from tests.gateway.service import Service, document, wait_for

pytestmark = pytest.mark.flow

CALL = "/jina.JinaRPC/Call"
BIG = 20_000_000


def channel_to(service: Service, options: list[tuple[str, int]]) -> grpc.Channel:
    target = f"localhost:{service.port}"
    if service.certificate is None:
        return grpc.insecure_channel(target, options)
    trust = grpc.ssl_channel_credentials(service.certificate.read_bytes())
    return grpc.secure_channel(target, trust, options)


def call(
    service: Service,
    request: jina_pb2.DataRequestProto,
    key: str | None = None,
    seconds: float = 30,
) -> jina_pb2.DataRequestProto:
    """One request over plain gRPC, in the stream that Jina's clients use."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    metadata = [("authorization", key)] if key is not None else []
    with channel_to(service, options) as channel:
        stream = channel.stream_stream(
            CALL,
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        return next(iter(stream(iter([request]), metadata=metadata, timeout=seconds)))


def message(endpoint: str, blob: bytes = b"picture", **parameters: Any) -> Any:
    request = jina_pb2.DataRequestProto()
    request.header.request_id = "r1"
    request.header.exec_endpoint = endpoint
    request.parameters.update(parameters)
    doc = request.data.docs.docs.add()
    doc.id, doc.blob = "d1", blob
    return request


def socket_to(service: Service, **options: Any) -> ClientConnection:
    trust = service.trust
    if trust is not None:
        # The client reads in one thread and writes in another. Python 3.11 does not lock a TLS
        # connection, and the session tickets of TLS 1.3, which come after the handshake, can
        # swallow the write: about 1 in 5000 connections hangs, whatever the server.
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
    url = f"{'ws' if trust is None else 'wss'}://localhost:{service.port}/"
    return connect(url, ssl=trust, max_size=None, compression=None, **options)


def told(socket: ClientConnection, text: str | bytes) -> Any:
    socket.send(text)
    answer = socket.recv(30)
    return json.loads(answer) if isinstance(answer, str) else answer


def as_json(endpoint: str, blob: bytes = b"picture", **parameters: Any) -> dict[str, Any]:
    return {"data": [document(blob, id="d1")], "parameters": parameters, "exec_endpoint": endpoint}


def test_three_protocols_answer_the_same(service: Service) -> None:
    over_http = service.http(payload=as_json("/echo", x=1)).body["data"][0]
    with socket_to(service) as socket:
        over_json = told(socket, json.dumps(as_json("/echo", x=1)))["data"][0]
    with socket_to(service, subprotocols=["bytes"]) as socket:
        answer = told(socket, message("/echo", x=1).SerializeToString())
    over_bytes = jina_pb2.DataRequestProto.FromString(answer).data.docs.docs[0]
    over_grpc = call(service, message("/echo", x=1)).data.docs.docs[0]
    for doc in (over_http, over_json):
        del doc["tags"]["parameters"]["request_id"]
    assert over_http == over_json
    assert over_grpc == over_bytes
    assert base64.b64decode(over_http["blob"]) == over_grpc.blob == b"picture"
    assert over_http["tags"]["seen"] == over_grpc.tags["seen"] == 7
    assert over_http["id"] == over_grpc.id == "d1"


@pytest.fixture
def collected() -> Iterator[None]:
    """Jina's HTTP client leaves a connection open when it raises: collect it where it is known."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("protocol", ["grpc", "http", "websocket"])
def test_jinas_client_works_and_raises(service: Service, protocol: str) -> None:
    client = Client(host="127.0.0.1", port=service.port, protocol=protocol)
    assert client.is_flow_ready()
    docs = DocumentArray([Document(id=str(n), blob=b"x" * n) for n in range(20)])
    answers = client.post("/echo", docs, request_size=1)
    assert sorted(int(doc.id) for doc in answers) == list(range(20))
    assert all(doc.tags["seen"] == int(doc.id) for doc in answers)
    with pytest.raises((BadServer, ValueError), match="SCALE_SYNTAX"):
        client.post("/refuse", docs[:1])


@pytest.mark.parametrize(
    "payload",
    [
        {"data": [document()], "execEndpoint": "/echo"},
        {"data": {"docs": [document()]}, "exec_endpoint": "/echo"},
        {"data": [document()], "execEndpoint": "/echo", "targetExecutor": "echo", "extra": 1},
    ],
)
def test_json_may_be_written_as_jina_allows(service: Service, payload: object) -> None:
    reply = service.http(payload=payload)
    assert reply.status == 200 and reply.body["data"][0]["tags"]["seen"] == 7


def test_every_executor_endpoint_is_a_path(service: Service) -> None:
    for path in ("/echo", "/upscale"):
        assert service.http(path, {"data": [document()]}).body["data"][0]["tags"]["seen"] == 7


def test_a_large_message_passes_on_every_protocol(service: Service) -> None:
    blob = bytes(BIG)
    assert call(service, message("/echo", blob)).data.docs.docs[0].blob == blob
    reply = service.http(payload=as_json("/echo", blob))
    assert base64.b64decode(reply.body["data"][0]["blob"]) == blob
    with socket_to(service, subprotocols=["bytes"]) as socket:
        answer = told(socket, message("/echo", blob).SerializeToString())
    assert jina_pb2.DataRequestProto.FromString(answer).data.docs.docs[0].blob == blob


@pytest.mark.parametrize(
    ("endpoint", "code", "status"),
    [("/refuse", "SCALE_SYNTAX", 422), ("/break", "INTERNAL", 500), ("/nope", "ENDPOINT", 404)],
)
def test_errors_carry_no_input_and_no_stack(
    service: Service, endpoint: str, code: str, status: int
) -> None:
    reply = service.http(payload=as_json(endpoint))
    over_grpc = call(service, message(endpoint))
    with socket_to(service) as socket:
        over_socket = told(socket, json.dumps(as_json(endpoint)))
    description = over_grpc.header.status.description
    assert reply.status == status and reply.body["code"] == code
    assert reply.body["doc_id"] == "d1" and reply.body["request_id"]
    assert description == f"{code}: {reply.body['message']}"
    assert over_socket["header"]["status"]["description"] == description
    assert over_grpc.header.request_id == "r1"
    assert not over_grpc.data.docs.docs and not over_socket["data"] and "data" not in reply.body
    assert not over_grpc.header.status.exception.stacks
    assert "secret" not in str(over_grpc) + str(over_socket) + str(reply.body)


@pytest.mark.parametrize(
    ("raw", "headers", "status", "code"),
    [
        (b'{"data": [', {}, 400, "JSON"),
        (b'{"parameters": {"x": NaN}}', {}, 400, "JSON"),
        (b'{"parameters": {"x": 1e999}}', {}, 400, "JSON"),
        (b"[" * 100_000, {}, 400, "JSON"),
        (b"\xff", {}, 400, "JSON"),
        (b"[]", {}, 422, "REQUEST"),
        (b'{"data": 5}', {}, 422, "REQUEST"),
        (b'{"data": [5]}', {}, 422, "REQUEST"),
        (b'{"parameters": 5}', {}, 422, "REQUEST"),
        (b'{"data": [{"tags": 5}]}', {}, 422, "REQUEST"),
        (b'{"data": [{"id": "\\ud800"}]}', {}, 422, "REQUEST"),
        (b'{"data": [{"blob": "YQ"}]}', {}, 400, "BASE64"),
        (b'{"data": [{"blob": "_-8="}]}', {}, 400, "BASE64"),
        (b'{"data": [{"blob": "@@@@"}]}', {}, 400, "BASE64"),
        (b'{"data": [{"blob": 5}]}', {}, 400, "BASE64"),
        (b"{}", {"content-type": "text/plain"}, 415, "CONTENT_TYPE"),
        (b"{}", {"content-encoding": "gzip"}, 415, "CONTENT_TYPE"),
        (b'{"targetExecutor": "(e*)*!", "execEndpoint": "/echo"}', {}, 422, "TARGET"),
        (b'{"targetExecutor": "other", "execEndpoint": "/echo"}', {}, 422, "TARGET"),
    ],
)
def test_bad_requests_get_a_status_and_json(
    service: Service, raw: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    reply = service.http(raw=raw, headers=headers)
    assert (reply.status, reply.body["code"]) == (status, code)
    assert set(reply.body) >= {"code", "message", "option", "allowed"}


def test_unknown_paths_and_methods_are_json_too(service: Service) -> None:
    assert service.http("/nope", {}).status == 404
    assert service.http("/nope").body["code"] == "PATH"
    assert service.http("/echo", method="DELETE").status == 405
    assert service.http("/echo").body["code"] == "METHOD"


def test_a_url_in_place_of_base64_becomes_the_uri(service: Service) -> None:
    url = "https://example.org/photo.jpg"
    reply = service.http("/echo", {"data": [{"blob": url, "uri": "/home/me/photo.jpg"}]})
    tags = reply.body["data"][0]["tags"]
    assert tags["uri"] == url and tags["seen"] == 0


def test_pickled_documents_are_refused(service: Service) -> None:
    request = message("/echo")
    request.data.docs_bytes = b"\x80\x04."
    assert "docs_bytes" in call(service, request).header.status.description


def test_a_bad_socket_message_costs_only_itself(service: Service) -> None:
    with socket_to(service) as socket:
        assert told(socket, "{")["header"]["status"]["description"].startswith("JSON: ")
        assert told(socket, json.dumps(as_json("/echo")))["data"][0]["tags"]["seen"] == 7
    with socket_to(service, subprotocols=["bytes"]) as socket:
        bad = jina_pb2.DataRequestProto.FromString(told(socket, b"\xff\xff"))
        assert bad.header.status.description.startswith("REQUEST: ")


def leave_http(service: Service) -> None:
    body = json.dumps(as_json("/sleep", seconds=30)).encode()
    head = f"POST /post HTTP/1.1\r\nauthorization: {KEYS[0]}\r\ncontent-length: {len(body)}\r\n"
    trust = service.trust
    assert trust is not None
    with (
        socket.create_connection(("localhost", service.port)) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        secure.sendall(head.encode() + b"host: x\r\n\r\n" + body)
        time.sleep(0.3)


def leave_socket(service: Service) -> None:
    with socket_to(service, additional_headers={"authorization": KEYS[0]}) as web:
        web.send(json.dumps(as_json("/sleep", seconds=30)))
        time.sleep(0.3)


def leave_grpc(service: Service) -> None:
    with pytest.raises(grpc.RpcError):
        call(service, message("/sleep", seconds=30), KEYS[0], seconds=0.3)


@pytest.mark.parametrize("leave", [leave_http, leave_socket, leave_grpc])
def test_a_client_that_leaves_frees_its_place(
    keyed: Service, leave: Callable[[Service], None]
) -> None:
    """Of two places; the requests would hold them for 30 s."""
    leave(keyed)
    leave(keyed)
    headers = {"authorization": KEYS[0]}
    wait_for(lambda: keyed.http(payload=as_json("/echo"), headers=headers).status == 200, 3)


def test_health_and_readiness_answer(service: Service) -> None:
    assert service.http("/").body == {}
    assert service.http("/dry_run").body["code"] == jina_pb2.StatusProto.SUCCESS
    assert set(service.http("/status").body["jina"]) == {"jina"}
    assert set(service.http("/openapi.json").body["paths"]) >= {"/post", "/upscale"}


def test_only_the_port_and_loopback_are_open(service: Service) -> None:
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, check=True, text=True)
    ours = [*service.children(), service.process.pid]
    lines = [ln for ln in listening.stdout.splitlines() if _owner(ln) in ours]
    if not lines:
        pytest.skip("this system does not say who listens")
    assert all("127.0.0.1" in line.split()[3] for line in lines)
    assert len(lines) == 2


def _owner(line: str) -> int:
    found = re.search(r"pid=(\d+)", line)
    return int(found.group(1)) if found else 0


def test_keys_are_needed_on_every_protocol(keyed: Service) -> None:
    payload = as_json("/echo")
    for absent in (None, "", "undefined", "None", "null", "wrong", "Bearer wrong"):
        headers = {} if absent is None else {"authorization": absent}
        assert keyed.http(payload=payload, headers=headers).status == 401
        with pytest.raises(grpc.RpcError) as refused:
            call(keyed, message("/echo"), absent)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(InvalidStatus), socket_to(keyed, additional_headers=headers):
            pass


@pytest.mark.parametrize("key", [*KEYS, f"Bearer {KEYS[0]}", f"bearer {KEYS[1]}"])
def test_a_key_opens_every_protocol(keyed: Service, key: str) -> None:
    headers = {"authorization": key}
    assert keyed.http(payload=as_json("/echo"), headers=headers).status == 200
    assert call(keyed, message("/echo"), key).data.docs.docs[0].blob == b"picture"
    with socket_to(keyed, additional_headers=headers) as socket:
        assert told(socket, json.dumps(as_json("/echo")))["data"]


def test_only_health_is_open_without_a_key(keyed: Service) -> None:
    assert keyed.http("/").status == 200
    assert keyed.http("/openapi.json").status == 401
    assert keyed.http("/dry_run").status == 401


def test_messages_beyond_the_limit_are_refused_everywhere(keyed: Service) -> None:
    headers = {"authorization": KEYS[0]}
    blob = bytes(1_500_000)
    reply = keyed.http(payload=as_json("/echo", blob), headers=headers)
    assert (reply.status, reply.body["code"]) == (413, "BYTES")
    with pytest.raises(grpc.RpcError) as refused:
        call(keyed, message("/echo", blob), KEYS[0])
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with (
        # 1009, unless the connection ends before the client has sent all and can read it
        pytest.raises(ConnectionClosed),
        socket_to(keyed, additional_headers=headers) as socket,
    ):
        told(socket, json.dumps(as_json("/echo", blob)))
    assert keyed.http(payload=as_json("/echo"), headers=headers).status == 200


def test_messages_at_the_limit_pass(keyed: Service) -> None:
    headers = {"authorization": KEYS[0]}
    room = (1 << 20) - len(json.dumps(as_json("/echo", b"")))
    body = json.dumps(as_json("/echo", bytes(room // 4 * 3))).encode()
    assert keyed.http(raw=body.ljust(1 << 20), headers=headers).status == 200
    assert keyed.http(raw=body.ljust((1 << 20) + 1), headers=headers).status == 413


def test_browsers_and_curl_get_http_under_tls(keyed: Service) -> None:
    trust = keyed.trust
    assert trust is not None
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", keyed.port)) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


def test_too_many_requests_are_refused_at_once(keyed: Service) -> None:
    headers = {"authorization": KEYS[0]}
    with socket_to(keyed, additional_headers=headers) as web:
        for _ in range(2):
            web.send(json.dumps(as_json("/sleep", seconds=1)))
        wait_for(lambda: keyed.http(payload=as_json("/echo"), headers=headers).status == 429)
        answers = [json.loads(web.recv(10)) for _ in range(2)]
    told = [answer["header"].get("status", {}).get("description", "") for answer in answers]
    assert told == ["", ""]
