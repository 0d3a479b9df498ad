"""Refusals that need no Executor: one shape, one status and an id for each."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.gateway.conftest import KEYS
from tests.gateway.web.conftest import MAX_BYTES


@pytest.mark.parametrize(("method", "path"), [("GET", "/models"), ("GET", "/nowhere")])
def test_a_question_that_no_executor_can_answer_is_503(
    client: TestClient, method: str, path: str
) -> None:
    reply = client.request(method, path, headers={"x-request-id": "mine"})
    assert (reply.status_code, reply.json()["code"]) == (503, "UNAVAILABLE")
    assert reply.json().keys() >= {"code", "message", "option", "allowed", "request_id"}
    assert reply.headers["x-request-id"] == reply.json()["request_id"] == "mine"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"x" * (MAX_BYTES + 1), {}, 413, "BYTES"),
        (b"{", {"content-type": "application/json"}, 400, "JSON"),
        (b'{"data": [{"blob": "?"}]}', {"content-type": "application/json"}, 400, "BASE64"),
        (b'{"data": 5}', {"content-type": "application/json"}, 422, "REQUEST"),
        (b"x", {"content-encoding": "gzip"}, 415, "CONTENT_TYPE"),
        (b"x", {"content-type": "multipart/mixed; boundary=b"}, 415, "CONTENT_TYPE"),
        (b"", {}, 422, "NO_IMAGE"),
    ],
)
def test_a_body_that_is_none_is_told_before_any_work(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    reply = client.post("/upscale", content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_executors_that_cannot_be_reached_are_told_with_a_time_to_retry(client: TestClient) -> None:
    reply = client.post("/upscale", content=b"an image")
    assert (reply.status_code, reply.json()["code"]) == (503, "UNAVAILABLE")
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("sent", [{}, {"authorization": "wrong"}, {"authorization": "Bearer"}])
def test_without_a_key_nothing_but_the_page_and_health_is_open(
    keyed_client: TestClient, sent: dict[str, Any]
) -> None:
    for path in ("/models", "/docs", "/openapi.json", "/progress/a"):
        reply = keyed_client.get(path, headers=sent)
        assert (reply.status_code, reply.json()["code"]) == (401, "KEY")
    assert keyed_client.get("/ui", headers=sent).status_code == 200
    assert keyed_client.get("/", headers=sent).status_code == 200
    opened = keyed_client.get("/docs", headers={"authorization": f"Bearer {KEYS[1]}"})
    assert opened.status_code == 200
