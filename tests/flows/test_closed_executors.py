"""A Flow with a key: the gateway opens its Executors, and nobody else does; Jina's own gateway."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from jina.proto import jina_pb2

from tests.gateway.service import (
    ROOT,
    Service,
    discard,
    free_port,
    launch_flow,
    ready,
    started,
    wait_for,
)
from tests.inputs import png

pytestmark = pytest.mark.flow
KEY = "s3cret"
HEADERS = {"authorization": KEY, "content-type": "image/png"}
MODELS = {"first": "bicubic_pp.x3", "second": "lanczos.x2"}


def branch(name: str, uses: str, port: int, **fields: Any) -> dict[str, Any]:
    """An Executor of a Flow, on a port that is known."""
    modules = str(ROOT / "executors/superres_executors.py")
    return {"name": name, "uses": uses, "py_modules": modules, "port": port} | fields


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where each Executor listens."""
    return {name: free_port() for name in ("first", "second", "join")}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Service]:
    """Two branches and their join behind one key."""
    flow = {
        "jtype": "Flow",
        "with": {"protocol": "grpc", "port": free_port()},
        "gateway": {"uses": str(ROOT / "gateway/config.yml")},
        "executors": [
            branch("first", "BicubicPP", ports["first"], needs="gateway"),
            branch("second", "Lanczos", ports["second"], needs="gateway"),
            branch("join", "Join", ports["join"], needs=["first", "second"]),
        ],
    }
    variables = {"SUPERRES_API_KEYS": f"{KEY},other", "SUPERRES_OFFLINE": "1"}
    made = launch_flow(tmp_path_factory.mktemp("keyed"), flow, variables)
    yield ready(made)
    discard(made)


@pytest.mark.parametrize("model", MODELS.values())
def test_the_gateway_opens_every_branch(service: Service, model: str) -> None:
    reply = service.bytes(f"/upscale?model={model}", png(), headers=HEADERS)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "image/png"


def test_the_gateway_opens_the_join(service: Service) -> None:
    payload = {"exec_endpoint": "/models", "data": [{}]}
    reply = service.http("/post", payload, headers={"authorization": KEY})
    assert reply.status == 200, reply.body
    listed = service.http("/models", headers={"authorization": KEY})
    assert {model["name"] for model in listed.body["models"]} >= set(MODELS.values())


@pytest.mark.parametrize("name", ["first", "second", "join"])
@pytest.mark.parametrize("key", [None, "wrong"])
def test_nobody_else_opens_an_executor(
    service: Service, ports: dict[str, int], name: str, key: str | None
) -> None:
    assert service.process.poll() is None
    with grpc.insecure_channel(f"127.0.0.1:{ports[name]}") as channel:
        call = channel.unary_unary(
            "/jina.JinaSingleDataRequestRPC/process_single_data",
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        metadata = (("authorization", key),) if key else ()
        with pytest.raises(grpc.RpcError) as caught:
            call(jina_pb2.DataRequestProto(), metadata=metadata, timeout=9)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_an_executor_still_works_behind_the_gateway_of_jina(tmp_path: Path) -> None:
    port = free_port()
    flow = {
        "jtype": "Flow",
        "with": {"protocol": "http", "port": port},
        "executors": [branch("only", "BicubicPP", free_port())],
    }
    (tmp_path / "flow.yml").write_text(json.dumps(flow))
    jina = str(Path(sys.executable).with_name("jina"))
    made = started(
        [jina, "flow", "--uses", "flow.yml"],
        tmp_path,
        port,
        tmp_path / "log.txt",
        {"SUPERRES_OFFLINE": "1"},
    )
    try:
        wait_for(lambda: "ready to serve" in made.log.read_text(), 60)
        request = {"exec_endpoint": "/models", "data": [{}]}
        reply = made.http("/post", request)
        assert reply.status == 200
        assert reply.body["data"][0]["tags"]["name"] == "bicubic_pp.x3"
    finally:
        discard(made)
