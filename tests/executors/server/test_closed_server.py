"""`jina executor --uses config.yml`, the image's own command, and a stranger on its port."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from docarray import Document, DocumentArray
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from jina.proto import jina_pb2, jina_pb2_grpc
from jina.types.request.data import DataRequest

from tests.gateway.service import ROOT, Service, discard, free_port, started, wait_for
from tests.inputs import png

pytestmark = pytest.mark.flow
JINA = str(Path(sys.executable).with_name("jina"))
KEY = "s3cret"
EMPTY = jina_pb2.google_dot_protobuf_dot_empty__pb2.Empty()
CODES = grpc.StatusCode


class Exploit:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def executor(folder: Path, *arguments: str, **variables: str) -> Service:
    """An Executor by itself."""
    port = free_port()
    command = [JINA, "executor", "--uses", "config.yml", "--port", str(port), *arguments]
    return started(command, ROOT, port, folder / "log.txt", {"SUPERRES_OFFLINE": "1"} | variables)


def is_healthy(service: Service) -> bool:
    """Whether the Executor's health check, which needs no key, says that it serves."""
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        try:
            check = health_pb2_grpc.HealthStub(channel).Check
            answer = check(health_pb2.HealthCheckRequest(service="jina.JinaRPC"), timeout=2)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module", params=["open", "keyed"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An Executor without and one with a key."""
    variables = {"SUPERRES_API_KEYS": f"other,{KEY}"} if request.param == "keyed" else {}
    made = executor(tmp_path_factory.mktemp("executor"), **variables)
    wait_for(lambda: is_healthy(made), 60)
    yield made
    discard(made)


@pytest.fixture
def channel(service: Service) -> Iterator[grpc.Channel]:
    """A connection to it."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{service.port}", options) as channel:
        yield channel


def send(channel: grpc.Channel, request: Any, key: str | None = KEY, way: str = "single") -> Any:
    """The answer to `request` by one of the three methods that take requests."""
    metadata = (("authorization", key),) if key else ()
    extra = {"metadata": metadata, "timeout": 60}
    if way == "list":
        stub = channel.unary_unary(
            "/jina.JinaDataRequestRPC/process_data",
            request_serializer=jina_pb2.DataRequestListProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        return stub(jina_pb2.DataRequestListProto(requests=[request]), **extra)
    if way == "stream":
        stream = channel.stream_stream(
            "/jina.JinaRPC/Call",
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        return next(iter(stream(iter([request]), **extra)))
    single = channel.unary_unary(
        "/jina.JinaSingleDataRequestRPC/process_single_data",
        request_serializer=jina_pb2.DataRequestProto.SerializeToString,
        response_deserializer=jina_pb2.DataRequestProto.FromString,
    )
    return single(request, **extra)


WAYS = ["single", "list", "stream"]


def make_request(*documents: Document, endpoint: str = "/upscale") -> Any:
    """A request as Jina makes it."""
    request = DataRequest()
    request.header.exec_endpoint = endpoint
    request.data.docs = DocumentArray(documents)
    return request.proto


def problem_of(answer: Any) -> dict[str, Any]:
    """The Problem in an error answer."""
    told: dict[str, Any] = json.loads(answer.header.status.exception.args[0])
    return told


@pytest.mark.parametrize("way", WAYS)
def test_an_image_is_upscaled(channel: grpc.Channel, way: str) -> None:
    answer = send(channel, make_request(Document(blob=png())), way=way)
    document = answer.data.docs.docs[0]
    assert document.mime_type == "image/png", answer.header.status
    assert list(document.tags["upscale"]["output_size"]) == [80, 56]


@pytest.mark.parametrize("endpoint", ["/upscale", "/models", "/progress", "/", "_jina_dry_run_"])
@pytest.mark.parametrize("way", WAYS)
def test_a_pickle_is_not_loaded(
    channel: grpc.Channel, way: str, endpoint: str, tmp_path: Path
) -> None:
    trace = tmp_path / "run"
    request = make_request(endpoint=endpoint)
    request.data.docs_bytes = pickle.dumps(Exploit(trace))
    answer = send(channel, request, way=way)
    assert problem_of(answer)["code"] == "REQUEST"
    assert "docs_bytes" in problem_of(answer)["message"]
    assert not trace.exists()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", [None, "", "null", "wrong", f"{KEY}x"])
def test_no_call_without_the_key(
    channel: grpc.Channel, service: Service, way: str, key: str | None
) -> None:
    if "SUPERRES_API_KEYS" in service.log.read_text():
        pytest.skip("this one is open, and says so")
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, make_request(), key, way)
    assert caught.value.code() is CODES.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        jina_pb2_grpc.JinaDiscoverEndpointsRPCStub(channel).endpoint_discovery(EMPTY, timeout=9)
    assert caught.value.code() is CODES.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        reflect(channel, key=None, list_services="")
    assert caught.value.code() is CODES.UNAUTHENTICATED


def test_an_open_port_is_told_in_the_log(service: Service) -> None:
    environment = Path(f"/proc/{service.process.pid}/environ").read_bytes()
    is_keyed = b"SUPERRES_API_KEYS" in environment
    assert ("set SUPERRES_API_KEYS" in service.log.read_text()) is not is_keyed


@pytest.mark.parametrize(
    ("stub", "method", "argument"),
    [
        ("JinaInfoRPCStub", "_status", EMPTY),
        ("JinaExecutorSnapshotStub", "snapshot", EMPTY),
        ("JinaExecutorSnapshotProgressStub", "snapshot_status", jina_pb2.SnapshotId(value="1")),
        ("JinaExecutorRestoreStub", "restore", jina_pb2.RestoreSnapshotCommand()),
        ("JinaExecutorRestoreProgressStub", "restore_status", jina_pb2.RestoreId(value="1")),
        ("JinaGatewayDryRunRPCStub", "dry_run", EMPTY),
    ],
)
def test_other_methods_do_not_exist(
    channel: grpc.Channel, stub: str, method: str, argument: Any
) -> None:
    call = getattr(getattr(jina_pb2_grpc, stub)(channel), method)
    with pytest.raises(grpc.RpcError) as caught:
        call(argument, metadata=(("authorization", KEY),), timeout=9)
    assert caught.value.code() is CODES.UNIMPLEMENTED


def reflect(channel: grpc.Channel, key: str | None = KEY, **question: str) -> Any:
    """What reflection answers."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    metadata = (("authorization", key),) if key else ()
    asked = iter([reflection_pb2.ServerReflectionRequest(**question)])
    return next(iter(stub.ServerReflectionInfo(asked, metadata=metadata, timeout=9)))


def test_reflection_tells_names_and_no_files(channel: grpc.Channel) -> None:
    listed = reflect(channel, list_services="").list_services_response.service
    assert {service.name for service in listed} == {
        "jina.JinaRPC",
        "jina.JinaSingleDataRequestRPC",
        "jina.JinaDataRequestRPC",
        "jina.JinaDiscoverEndpointsRPC",
    }
    for question in (
        {"file_by_filename": "jina.proto"},
        {"file_containing_symbol": "jina.JinaRPC"},
    ):
        assert reflect(channel, **question).WhichOneof("message_response") == "error_response"


def test_a_message_beyond_the_bound_is_refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, make_request(Document(blob=bytes(101 << 20))))
    assert caught.value.code() is CODES.RESOURCE_EXHAUSTED
    assert send(channel, make_request(Document(blob=png()))).data.docs.docs[0].blob


@pytest.mark.parametrize("way", WAYS)
def test_what_a_gateway_refuses_an_executor_refuses(channel: grpc.Channel, way: str) -> None:
    request = make_request()
    for _ in range(1001):
        request.data.docs.docs.add()
    assert problem_of(send(channel, request, way=way))["code"] == "DOCUMENTS"
    request = make_request(Document(blob=png(), weight=1))
    request.data.docs.docs[0].weight = float("nan")
    assert problem_of(send(channel, request, way=way))["code"] == "REQUEST"
    request = make_request()
    request.data.docs.docs.add().tensor.dense.shape.extend([60000, 60000, 3])
    assert problem_of(send(channel, request, way=way))["code"] in ("DTYPE", "SHAPE")


@pytest.mark.parametrize("protocol", ["http", "websocket"])
def test_an_executor_speaks_no_other_protocol(tmp_path: Path, protocol: str) -> None:
    made = executor(tmp_path, "--protocol", protocol)
    try:
        made.process.wait(60)
        assert made.process.returncode != 0
        assert "an Executor speaks gRPC" in made.log.read_text()
    except subprocess.TimeoutExpired:
        pytest.fail(made.log.read_text())
    finally:
        discard(made)


def test_shards_are_refused(tmp_path: Path) -> None:
    made = executor(tmp_path, "--shards", "2")
    try:
        made.process.wait(60)
        assert "use replicas" in made.log.read_text()
    finally:
        discard(made)
