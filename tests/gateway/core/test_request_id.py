"""Every request has an id: in the answer, in errors, in the log, and for the Executors."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from jina.proto import jina_pb2

from gateway.core.request_id import ActiveRequests, choose_request_id
from tests.gateway.service import Service
from tests.gateway.test_gateway import CALL, as_json, call, channel_to, message, socket_to, told

INSANE = ["", "a b", "a\nb", "../a", "-a", ".", "ä", "a" * 129]


@pytest.mark.parametrize("offered", [*INSANE, None])
def test_an_id_that_is_not_sane_is_replaced(offered: str | None) -> None:
    assert choose_request_id(offered) != offered and choose_request_id(
        offered
    ) != choose_request_id(offered)
    assert choose_request_id(offered, "b") == "b"


@pytest.mark.parametrize("offered", ["a", "a" * 128, "7f.-_A"])
def test_a_sane_id_is_kept(offered: str) -> None:
    assert choose_request_id(offered, "b") == offered


def test_an_id_is_active_until_its_last_request_ends() -> None:
    active = ActiveRequests()
    with active.track_one("a"):
        with active.track_one("a"):
            assert "a" in active
        assert "a" in active
    assert "a" not in active


@pytest.mark.flow
@pytest.mark.parametrize("path", ["/", "/nope", "/ui", "/docs", "/models", "/dry_run"])
def test_every_http_answer_has_an_id(service: Service, path: str) -> None:
    assert service.bytes(path, headers={"x-request-id": "a"}).headers.get_all("x-request-id") == [
        "a"
    ]
    assert len(service.bytes(path, headers={"x-request-id": "a b"}).headers["x-request-id"]) == 32


@pytest.mark.flow
def test_the_http_id_reaches_executor_answer_and_log(service: Service) -> None:
    headers = {"x-request-id": "over-http"}
    reply = service.http(payload=as_json("/echo", request_id="forged"), headers=headers)
    assert reply.body["header"]["requestId"] == "over-http"
    assert reply.body["data"][0]["tags"]["parameters"] == {"request_id": "over-http"}
    reply = service.http(payload=as_json("/refuse"), headers=headers)
    assert reply.body["request_id"] == "over-http"
    assert "request over-http: SCALE_SYNTAX" in service.log.read_text()


def over_stream(
    service: Service, request: jina_pb2.DataRequestProto, request_id: str
) -> jina_pb2.DataRequestProto:
    with channel_to(service, []) as channel:
        stream = channel.stream_stream(
            CALL,
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        return next(stream(iter([request]), metadata=[("x-request-id", request_id)], timeout=30))


def over_unary(
    service: Service, request: jina_pb2.DataRequestProto, request_id: str
) -> jina_pb2.DataRequestProto:
    with channel_to(service, []) as channel:
        single: grpc.UnaryUnaryMultiCallable = channel.unary_unary(
            "/jina.JinaSingleDataRequestRPC/process_single_data",
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )
        return single(request, metadata=[("x-request-id", request_id)], timeout=30)


@pytest.mark.flow
@pytest.mark.parametrize("ask", [over_stream, over_unary])
def test_grpc_metadata_names_a_request(service: Service, ask: Callable[..., Any]) -> None:
    for offered, named in (("over-grpc", "over-grpc"), ("a b", "r1")):
        answer = ask(service, message("/echo"), offered)
        assert answer.header.request_id == named
        assert answer.data.docs.docs[0].tags["parameters"]["request_id"] == named


@pytest.mark.flow
def test_an_id_that_could_forge_the_log_is_replaced(service: Service) -> None:
    request = message("/refuse")
    request.header.request_id = "a\nforged"
    assert len(call(service, request).header.request_id) == 32
    assert "forged" not in service.log.read_text().replace("'forged'", "")


@pytest.mark.flow
def test_socket_messages_keep_their_own_ids(service: Service) -> None:
    with socket_to(service) as socket:
        asked = as_json("/echo") | {"header": {"request_id": "m1"}}
        assert told(socket, json.dumps(asked))["header"]["request_id"] == "m1"
