"""The gateway's HTTP layer in this process, around a real RequestService whose Executor is away."""

from collections.abc import Iterator
from typing import Any

import pytest
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from starlette.testclient import TestClient

from contract.api_keys import Keys
from gateway.core.api_keys import KeyedApp
from gateway.core.in_flight import RequestsInFlight
from gateway.core.request_id import Identified
from gateway.core.request_service import RequestService
from gateway.web.app import make_app
from gateway.web.openapi import PageSettings
from tests.gateway.conftest import KEYS

MAX_BYTES = 1 << 20


async def make_service() -> RequestService:
    """A service for one Executor, at an address where nobody listens."""
    streamer = GatewayStreamer(
        graph_representation={"start-gateway": ["away"], "away": ["end-gateway"]},
        executor_addresses={"away": ["127.0.0.1:1"]},
        graph_conditions={},
        deployments_metadata={},
        deployments_no_reduce=[],
        timeout_send=1.0,
        retries=0,
        runtime_name="test",
        prefetch=0,
    )
    return RequestService(streamer, RequestsInFlight(8))


class LateApp:
    """The application as the gateway serves it, built on the loop that serves it, for Jina's
    connections belong to one loop.
    """

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            service = await make_service()
            app: Any = make_app(service, MAX_BYTES, PageSettings(keyed=bool(self._keys)))
            self._app = Identified(KeyedApp(app, Keys(self._keys)), service.active)
        await self._app(scope, receive, send)


def make_client(*keys: str) -> TestClient:
    """A client of the application with these keys."""
    return TestClient(LateApp(*keys), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with make_client() as made:
        yield made


@pytest.fixture(scope="module")
def keyed_client() -> Iterator[TestClient]:
    with make_client(*KEYS) as made:
        yield made
