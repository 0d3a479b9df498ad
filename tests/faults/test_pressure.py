"""One request against the default Flow, and what its neighbours suffer from it.

A short form runs with the tests; `make faults` sends everything, in its full size, and asserts
how long the neighbours wait too.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.contract.test_wire_limits import inside
from tests.faults.watch import Costs, find_listener, read_processor_seconds, watch
from tests.gateway.service import ROOT, Service, discard, launch_flow, read_flow, ready

pytestmark = pytest.mark.flow
MIB = 1 << 20
CALL = "/jina.JinaSingleDataRequestRPC/process_single_data"
JSON = "application/json"
FORM = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
MULTIPART = "multipart/form-data; boundary=b"

MAX_WAIT_SECONDS = 0.5
"""For a neighbour of any one hostile request."""

ROOM_BYTES = 48 * MIB
"""Of the gateway beside what a message of no size costs: threads, buffers of connections."""

MOST_MEMORY = 4
"""Bytes of memory for a byte of the message. A form is held three times, and read once more."""


class Hostile(NamedTuple):
    """A request: how it is sent, what of so many bytes, and the code that answers it."""

    way: str
    path: str
    kind: str
    make: Callable[[int], bytes]
    size: int
    code: str


def repeat(before: bytes, token: bytes, after: bytes) -> Callable[[int], bytes]:
    """What makes a text of so many bytes of `token`."""
    return lambda size: before + token * (size // len(token)) + after


def in_json(before: bytes, token: bytes, after: bytes, size: int, code: str = "REQUEST") -> Hostile:
    """A JSON body."""
    return Hostile("http", "/upscale", JSON, repeat(before, token, after), size * MIB, code)


def in_protobuf(fields: tuple[int, ...], token: bytes, size: int, code: str) -> Hostile:
    """A protobuf message of many `token` inside its `fields`."""
    return Hostile(
        "grpc",
        CALL,
        "",
        lambda n: inside(*fields, body=token * (n // len(token))),
        size * MIB,
        code,
    )


HOSTILE = {
    "JSON: integers in an unknown field": in_json(b'{"x":[', b"0,", b'0],"data":[]}', 40),
    "JSON: parameters": in_json(b'{"parameters":{', b'"k":0,', b'"k":0},"data":[]}', 20),
    "JSON: tags": in_json(b'{"data":[{"tags":{', b'"k":0,', b'"k":0}}]}', 20),
    "JSON: a list in a tag": in_json(b'{"data":[{"tags":{"a":[', b"0,", b"0]}}]}", 20),
    "JSON: chunks": in_json(b'{"data":[{"chunks":[', b"{},", b"{}]}]}", 6),
    "JSON: Documents": in_json(b'{"data":[', b"{},", b"{}]}", 20, "DOCUMENTS"),
    "JSON: lists": in_json(b"", b"[", b"", 40),
    "JSON: blanks": in_json(b"{", b" ", b"}", 90),
    "JSON: quotation marks": in_json(b'{"x":"', b'\\"', b'"}', 40),
    "JSON: a tensor of integers": in_json(
        b'{"data":[{"tensor":[', b"[[1,2,3,4,5]],", b"[[1,2,3,4,5]]]}]}", 40, "SHAPE"
    ),
    "JSON: a tensor of floats": in_json(b'{"data":[{"tensor":[', b"0.5,", b"0.5]}]}", 40, "SHAPE"),
    "JSON: a blob of noise": in_json(b'{"data":[{"blob":"', b"AAEC", b'"}]}', 80, "UNDECODABLE"),
    "protobuf: empty Documents": in_protobuf((4, 1), b"\x0a\0", 32, "DOCUMENTS"),
    "protobuf: chunks": in_protobuf((4, 1, 1), b"\x72\0", 32, "DOCUMENTS"),
    "protobuf: values": in_protobuf((2, 1, 2, 6), b"\x0a\0", 32, "REQUEST"),
    "protobuf: tags": in_protobuf((4, 1, 1, 17), b"\x0a\0", 32, "REQUEST"),
    "protobuf: dimensions": in_protobuf((4, 1, 1, 3, 1, 2), b"\1", 32, "REQUEST"),
    "protobuf: routes": in_protobuf((), b"\x1a\0", 32, "REQUEST"),
    "WebSocket: empty Documents": Hostile(
        *("ws", "/", "bytes", repeat(b"", inside(4, 1, 1, body=b""), b""), 32 * MIB, "DOCUMENTS")
    ),
    "WebSocket: values": Hostile(
        *("ws", "/", "json", repeat(b'{"x":[', b"0,", b"0]}"), 40 * MIB, "REQUEST")
    ),
    "a form of line ends": Hostile(
        *("http", "/upscale", MULTIPART, repeat(FORM, b"\r\n", b"\r\n--b--\r\n")),
        *(62 * MIB, "UNDECODABLE"),
    ),
    "a form of nearly boundaries": Hostile(
        *("http", "/upscale", MULTIPART, repeat(FORM, b"\r\n--\xff", b"\r\n--b--\r\n")),
        *(62 * MIB, "UNDECODABLE"),
    ),
    "a form with a long name": Hostile(
        *("http", "/upscale", MULTIPART, repeat(FORM[:-20], b"\\\\", b'"\r\n\r\n--b--\r\n')),
        *(20 * MIB, "FORM"),
    ),
    "an image of noise": Hostile(
        "http", "/upscale", "image/png", repeat(b"", b"\0\1\2\3", b""), 64 * MIB, "UNDECODABLE"
    ),
    "a PPM of comments": Hostile(
        "http", "/upscale", "image/x-ppm", repeat(b"P6 ", b"#", b""), MIB, "UNDECODABLE"
    ),
}
SHORT_BYTES = 2 * MIB


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The default Flow on a free port."""
    made = launch_flow(tmp_path_factory.mktemp("faults"), read_flow("fast.yml"))
    yield ready(made)
    discard(made)


def send(service: Service, hostile: Hostile, body: Path) -> str:
    """The code of the answer to a request that another process sends."""
    command = [sys.executable, "-m", "tests.faults.send", hostile.way, str(service.port)]
    done = subprocess.run(
        [*command, hostile.path, str(body), hostile.kind],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=180,
    )
    return done.stdout.strip()


def attack(service: Service, name: str, size: int, folder: Path) -> Costs:
    """Send one hostile request of `size` bytes, be answered as expected, and say what it cost."""
    hostile, body = HOSTILE[name], folder / "body"
    body.write_bytes(hostile.make(size))
    with watch(service) as costs:
        assert send(service, hostile, body) == hostile.code
    assert costs.statuses == {200}
    assert costs.memory < MOST_MEMORY * size + ROOM_BYTES, costs
    return costs


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_costs_little_memory(service: Service, name: str, tmp_path: Path) -> None:
    attack(service, name, min(SHORT_BYTES, HOSTILE[name].size), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_its_neighbours_do_not_wait(service: Service, name: str, tmp_path: Path) -> None:
    costs = attack(service, name, HOSTILE[name].size, tmp_path)
    assert max(costs.health_seconds, costs.image_seconds) < MAX_WAIT_SECONDS, costs


@pytest.mark.slow
def test_the_work_for_a_client_that_has_left_ends(service: Service, tmp_path: Path) -> None:
    gateway = find_listener(service)
    body = HOSTILE["JSON: a tensor of floats"].make(60 * MIB)
    head = f"POST /upscale HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(1)  # it would take about 5 s to read
        assert service.process.poll() is None
        before = read_processor_seconds(gateway)
        time.sleep(0.5)
        assert read_processor_seconds(gateway) - before > 0.25  # it is at work
    time.sleep(1)
    before = read_processor_seconds(gateway)
    time.sleep(1)
    assert read_processor_seconds(gateway) - before < 0.2
