"""Clients that are slow, vanish, come all at once or speak no known protocol harm nobody else."""

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

import grpc
import pytest

from tests.conformance.cases import asked
from tests.conformance.wires import (
    CALL,
    Answer,
    Question,
    Wires,
    as_json,
    as_proto,
    asked_for_picture,
    from_json,
    from_proto,
    socket_to,
    wires_to,
)
from tests.gateway.service import Service, wait_for
from tests.gateway.web.test_progress_events import events, stream
from tests.inputs import png

pytestmark = pytest.mark.flow

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LONG = asked({"blob": png(size=(640, 480))}, tile=8)
"""4,800 tiles: it would take many times the seconds that a test waits."""
SOON = 3.0


@pytest.fixture
def others(wires: Wires, good_answer: Answer) -> Callable[[], bool]:
    """Asks whether other clients are still answered over every protocol."""
    return lambda: all(ask(asked_for_picture()) == good_answer for ask in wires.ways.values())


STARTS = [b"", b"P", b"POST /po", b"GET / HTTP/1.1\r\nhost: x\r\n", PREFACE[:10], b"\x16\x03"]
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def half_open(service: Service) -> Iterator[list[socket.socket]]:
    """Connections whose clients say nothing, or stop in the middle of a head, all tests long."""
    with ExitStack() as stack:
        opened = [stack.enter_context(raw_to(service)) for _ in range(140)]
        for number, raw in enumerate(opened):
            if number % 7 == 6:
                raw.sendall(WHOLE)
                assert raw.recv(1000)
            raw.sendall((*STARTS, WHOLE[:-2])[number % 7])
        yield opened


def raw_to(service: Service, **options: int) -> socket.socket:
    """A connection without a protocol; a small `receive` buffer makes its reader slow to fill."""
    raw = socket.socket()
    if "receive" in options:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive"])
    raw.settimeout(20)
    raw.connect(("127.0.0.1", service.port))
    return raw


def posted(body: bytes, **headers: str) -> bytes:
    """A whole HTTP request."""
    told = {"host": "x", "content-type": "application/json", "content-length": str(len(body))}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [b"POST /post HTTP/1.1", *(f"{n}: {v}".encode() for n, v in told.items()), b"", b""]
    return b"\r\n".join(lines) + body


def frame(text: bytes) -> bytes:
    """A WebSocket message, masked with zeros."""
    return b"\x81\xff" + len(text).to_bytes(8, "big") + bytes(4) + text


def answered(raw: socket.socket) -> Answer:
    """The answer that comes on a raw HTTP connection."""
    response = http.client.HTTPResponse(raw)
    response.begin()
    assert response.status == 200
    return from_json(response.read())


def test_slow_senders_over_http_delay_nobody(
    service: Service, others: Callable[[], bool], good_answer: Answer
) -> None:
    request = posted(as_json(asked_for_picture()))
    with ExitStack() as stack:
        slow = [stack.enter_context(raw_to(service)) for _ in range(100)]
        for place, raw in enumerate(slow):  # some stop in the head, some in the body
            raw.sendall(request[: 20 + place * 30])
        assert others()
        for place, raw in enumerate(slow):
            raw.sendall(request[20 + place * 30 :])
        assert all(answered(raw) == good_answer for raw in slow)


def test_slow_senders_over_websocket_delay_nobody(
    service: Service, others: Callable[[], bool], good_answer: Answer
) -> None:
    message = frame(as_json(asked_for_picture()))
    with ExitStack() as stack:
        slow = [stack.enter_context(socket_to(service)) for _ in range(20)]
        for place, web in enumerate(slow):
            web.socket.sendall(message[: 1 + place * 150])
        assert others()
        for place, web in enumerate(slow):
            web.socket.sendall(message[1 + place * 150 :])
        assert all(from_json(web.recv(20)) == good_answer for web in slow)


NOISE = asked({"blob": png(size=(200, 150))})
"""Its answer has about half a megabyte: more than a connection's buffers take."""


def test_slow_readers_over_http_delay_nobody(
    service: Service, others: Callable[[], bool], wires: Wires
) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(raw_to(service, receive=4096)) for _ in range(16)]
        for raw in slow:
            raw.sendall(posted(as_json(NOISE)))
        assert all(raw.recv(1, socket.MSG_PEEK) for raw in slow)  # the answers have begun
        assert others()
        expected = wires.grpc(NOISE)
        assert all(answered(raw) == expected for raw in slow)


def test_slow_readers_over_websocket_delay_nobody(
    service: Service, others: Callable[[], bool], wires: Wires
) -> None:
    expected = wires.grpc(NOISE)
    with socket_to(service) as text, socket_to(service, "bytes") as binary:
        for _ in range(24):
            text.send(as_json(NOISE).decode())
            binary.send(as_proto(NOISE))
        assert others()
        for _ in range(24):
            assert from_json(text.recv(20)) == expected
            assert from_proto(binary.recv(20)) == expected  # type: ignore[arg-type]


def named(question: Question, request_id: str) -> str:
    """A question in a WebSocket's JSON, under an id."""
    whole = json.loads(as_json(question))
    return json.dumps(whole | {"header": {"request_id": request_id}})


@contextmanager
def busy_http(service: Service, request_id: str) -> Iterator[None]:
    with raw_to(service) as raw:
        raw.sendall(posted(as_json(LONG), x_request_id=request_id))
        yield


@contextmanager
def busy_websocket(service: Service, request_id: str) -> Iterator[None]:
    with socket_to(service) as web:
        web.send(named(LONG, request_id))
        yield
        web.socket.shutdown(socket.SHUT_RDWR)  # no farewell


@contextmanager
def busy_grpc(service: Service, request_id: str) -> Iterator[None]:
    with grpc.insecure_channel(f"localhost:{service.port}") as channel:
        call = channel.stream_stream(CALL)(
            iter([as_proto(LONG)]), metadata=[("x-request-id", request_id)]
        )
        yield
        call.cancel()


BUSY = {"http": busy_http, "websocket": busy_websocket, "grpc": busy_grpc}
Busy = Callable[[Service, str], AbstractContextManager[None]]


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_clients_that_vanish_free_their_workers_within_a_tile(
    strained: Service, busy: Busy
) -> None:
    """Four of four workers; a fifth image is refused until they are free."""
    names = [f"{busy.__name__}-{number}" for number in range(4)]
    with wires_to(strained) as wires, ExitStack() as progress:
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(busy(strained, name))
            seen = [progress.enter_context(stream(strained, name)) for name in names]
            assert all(begun(response) for response in seen)
            told = wires.http(asked_for_picture()).problem
            assert told is not None and (told["code"], told["status"]) == ("OVERLOADED", 429)
        left = time.monotonic()
        wait_for(lambda: wires.http(asked_for_picture()).problem is None, SOON)
        assert all(events(response)[-1] == {"finished": True} for response in seen)
        assert time.monotonic() - left < SOON


def begun(response: http.client.HTTPResponse) -> bool:
    """Whether some tiles of a request are done, but by far not all."""
    while line := response.readline():
        if line.startswith(b"data: "):
            step = json.loads(line.removeprefix(b"data: "))
            response.readline()  # the empty line that ends an event
            if step.get("done"):
                return bool(step["done"] < step["total"] / 2)
    return False


BURST = 60
MEDIUM = asked({"blob": png(size=(200, 150))}, tile=24)


def test_a_burst_over_http_is_answered_or_refused_at_once(strained: Service) -> None:
    body = as_json(MEDIUM)
    barrier = threading.Barrier(BURST)

    def ask(_: int) -> tuple[float, http.client.HTTPResponse, Any]:
        connection = http.client.HTTPConnection("localhost", strained.port, timeout=30)
        connection.connect()
        barrier.wait()
        began = time.monotonic()
        connection.request("POST", "/post", body, {"content-type": "application/json"})
        response = connection.getresponse()
        told = json.loads(response.read())
        connection.close()
        return time.monotonic() - began, response, told

    with ThreadPoolExecutor(BURST) as pool:
        replies = list(pool.map(ask, range(BURST)))
    accepted = [seconds for seconds, response, _ in replies if response.status == 200]
    refused = [reply for reply in replies if reply[1].status == 429]
    assert len(accepted) + len(refused) == BURST
    assert len(accepted) >= 4 and refused
    for _, response, told in refused:
        assert told["code"] == "OVERLOADED" and response.headers["retry-after"] == "1"
    times = sorted(seconds for seconds, _, _ in refused)
    assert times[len(times) // 2] < max(accepted)
    recovered(strained)


def test_a_burst_over_grpc_is_answered_or_refused(strained: Service) -> None:
    request = as_proto(MEDIUM)
    with grpc.insecure_channel(f"localhost:{strained.port}") as channel:
        call = channel.stream_stream(CALL)
        streams = [call(iter([request]), timeout=30) for _ in range(BURST)]
        answers = [from_proto(next(iter(one))) for one in streams]
    counted(answers)
    recovered(strained)


def test_a_burst_over_a_websocket_is_answered_or_refused_in_order(strained: Service) -> None:
    with socket_to(strained) as web:
        for number in range(BURST):
            web.send(named(MEDIUM, f"burst-{number}"))
        told = [web.recv(30) for _ in range(BURST)]
    names = [json.loads(text)["header"]["request_id"] for text in told]
    assert names == [f"burst-{number}" for number in range(BURST)]
    counted([from_json(text) for text in told])
    recovered(strained)


def counted(answers: list[Answer]) -> None:
    refused = [answer.problem for answer in answers if answer.problem is not None]
    assert len(answers) == BURST
    assert 4 <= BURST - len(refused) < BURST
    assert {problem["code"] for problem in refused} == {"OVERLOADED"}


def recovered(service: Service) -> None:
    with wires_to(service) as wires:
        wait_for(lambda: wires.http(asked_for_picture()).problem is None, 5)
        assert wires.healthy()


def garbage() -> Iterator[tuple[str, bytes]]:
    """First bytes on a connection that are no request."""
    draw = random.Random(5)
    for size in (1, 20, 3_000, 200_000):
        yield f"{size} random bytes", draw.randbytes(size)
    yield "TLS", bytes.fromhex("16030100c8010000c40303") + draw.randbytes(190)
    yield "gRPC, then noise", PREFACE + draw.randbytes(5_000)
    yield "gRPC with a huge frame", PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"
    yield "HTTP/2 settings without end", PREFACE + b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" * 500
    yield "a long head", b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 300_000
    yield "many headers", b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 50_000
    yield (
        "two lengths",
        b"POST /post HTTP/1.1\r\nhost: x\r\n" + b"content-length: 1\r\n" * 2 + b"\r\n",
    )
    both = b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"
    yield "length and chunks", b"POST /post HTTP/1.1\r\nhost: x\r\n" + both + b"0\r\n\r\nGET /"
    chunks = b"POST /post HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    yield "a chunk without end", chunks + b"fffffffffffffff\r\nx"
    yield "a chunk of letters", chunks + b"zz\r\nx\r\n"
    yield "a negative length", b"POST /post HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"
    upgrade = (
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    yield "frames without a mask", upgrade + b"\x81\x02{}"
    yield "frames of no kind", upgrade + b"\x8f\x80" + bytes(4)
    yield "frames too long", upgrade + b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4)
    yield "text that is none", upgrade + b"\x81\x82" + bytes(4) + b"\xff\xfe"
    yield "an SMTP client", b"EHLO example.org\r\nMAIL FROM:<a@example.org>\r\n"


@pytest.mark.parametrize("data", [g[1] for g in garbage()], ids=[g[0] for g in garbage()])
def test_garbage_on_the_port_harms_nobody(
    service: Service, others: Callable[[], bool], wires: Wires, data: bytes
) -> None:
    with raw_to(service) as raw:
        with suppress(ConnectionError):  # hung up on already
            raw.sendall(data)
        assert others() and wires.healthy()


def test_half_open_connections_have_ended(half_open: list[socket.socket]) -> None:
    """Silent ones, and ones that stop in the middle of a head, are closed after ten seconds."""
    assert all(ended(raw) for raw in half_open)


def test_faults_of_clients_leave_no_stack_in_the_log(service: Service, strained: Service) -> None:
    for told in (service.log.read_text(), strained.log.read_text()):
        assert "Traceback" not in told and "never retrieved" not in told


def ended(raw: socket.socket) -> bool:
    """Whether the server hangs up, whatever it says before."""
    with suppress(ConnectionError):
        while raw.recv(65_536):
            pass
    return True
