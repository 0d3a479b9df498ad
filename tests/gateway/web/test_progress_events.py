"""Progress as server-sent events, and the list of models."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gateway.conftest import KEYS
from tests.gateway.service import Service, wait_for

pytestmark = pytest.mark.flow


def connection_to(service: Service) -> http.client.HTTPConnection:
    if service.trust is None:
        return http.client.HTTPConnection("localhost", service.port, timeout=20)
    return http.client.HTTPSConnection("localhost", service.port, timeout=20, context=service.trust)


@contextmanager
def stream(
    service: Service, request_id: str, headers: dict[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    connection = connection_to(service)
    connection.request("GET", f"/progress/{request_id}", headers=headers or {})
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def events(response: http.client.HTTPResponse) -> list[dict[str, Any]]:
    lines = response.read().decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def upscaling(service: Service, request_id: str, steps: int) -> threading.Thread:
    headers = {"x-request-id": request_id}
    path = f"/upscale?steps={steps}"
    thread = threading.Thread(target=service.bytes, args=(path, b"x"), kwargs={"headers": headers})
    thread.start()
    return thread


def test_progress_rises_until_the_request_ends(service: Service) -> None:
    with stream(service, "job-1") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        time.sleep(0.3)  # a page may ask before its upload has begun
        thread = upscaling(service, "job-1", 5)
        *steps, end = events(response)
    thread.join()
    assert end == {"finished": True}
    done = [step["done"] for step in steps]
    assert len(steps) >= 3 and done == sorted(set(done))
    assert all(step["total"] == 5 for step in steps)


def test_an_unknown_request_is_said_to_be_unknown(service: Service) -> None:
    began = time.monotonic()
    with stream(service, "nobody") as response:
        assert events(response) == [{"unknown": True}]
    assert 2 < time.monotonic() - began < 8


def test_streams_need_a_key_and_are_few(keyed: Service) -> None:
    headers = {"authorization": KEYS[0]}
    with stream(keyed, "a") as response:
        assert response.status == 401
    with (
        stream(keyed, "a", headers),
        stream(keyed, "b", headers),
        stream(keyed, "c", headers) as third,
    ):
        assert (third.status, third.headers["retry-after"]) == (429, "1")
        error = json.loads(third.read())
        assert error["code"] == "OVERLOADED"
        assert error["request_id"] == third.headers["x-request-id"]
    wait_for(lambda: free(keyed, headers), 5)


def free(service: Service, headers: dict[str, str]) -> bool:
    with stream(service, "d", headers) as response:
        return response.status == 200


def test_models_are_listed(service: Service, keyed: Service) -> None:
    expected = {"system": "echo", "options": ["steps"], "executor": "echo"}
    assert service.http("/models").body == {
        "models": [
            expected | {"name": "echo.x2", "scale": 2, "default": True},
            expected | {"name": "echo.x4", "scale": 4, "default": False},
        ],
        "endpoints": ["/upscale"],
    }
    assert keyed.http("/models").status == 401
