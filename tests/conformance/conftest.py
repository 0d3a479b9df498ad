"""Two services that start at the same time: one for every case, one that is soon overloaded."""

from collections.abc import Iterator

import pytest

from tests.conformance.canary import Canary, Redirector
from tests.conformance.flows import launched
from tests.conformance.wires import Answer, Wires, asked_for_picture, wires_to
from tests.gateway.service import Service, discard, ready

MODEST = {
    "max_input_pixels": 400_000,
    "max_input_mb": 4,
    "max_documents": 8,
    "max_output_pixels": 9 * 400_000,
}


@pytest.fixture(scope="session")
def canary() -> Iterator[Canary]:
    with Canary() as canary:
        yield canary


@pytest.fixture(scope="session")
def redirector() -> Iterator[Redirector]:
    with Redirector() as redirector:
        yield redirector


@pytest.fixture(scope="session")
def both(
    tmp_path_factory: pytest.TempPathFactory, canary: Canary, redirector: Redirector
) -> Iterator[tuple[Service, Service]]:
    reachable = {
        # Other ports than 80 and 443, so that it is the address that refuses.
        "uri_ports": [80, 443, canary.port, redirector.port],
        "uri_private_networks": [f"{redirector.host}/32"],
        "uri_seconds": 1.5,
    }
    services = (
        launched(tmp_path_factory.mktemp("modest"), {"max_request_mb": 16}, **MODEST, **reachable),
        launched(tmp_path_factory.mktemp("strained"), {}, max_waiting=4),
    )
    yield services
    for service in services:
        discard(service)


@pytest.fixture(scope="session")
def service(both: tuple[Service, Service]) -> Service:
    """The default Flow with tight limits."""
    return ready(both[0])


@pytest.fixture(scope="session")
def strained(both: tuple[Service, Service]) -> Service:
    """The default Flow with room for four images."""
    return ready(both[1])


@pytest.fixture(scope="session")
def wires(service: Service) -> Iterator[Wires]:
    with wires_to(service) as wires:
        yield wires


@pytest.fixture(scope="session")
def good_answer(wires: Wires) -> Answer:
    """What a good question is answered before anything bad was sent."""
    return wires.grpc(asked_for_picture())


@pytest.fixture
def alive(wires: Wires, good_answer: Answer) -> Iterator[None]:
    """After the test every protocol is healthy and answers a good question as before."""
    yield
    assert wires.healthy()
    for ask in wires.ways.values():
        assert ask(asked_for_picture()) == good_answer
