"""Starting and stopping: what is in flight finishes, nothing is left behind."""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.service import (
    ROOT,
    Reply,
    Service,
    discard,
    document,
    flow_yaml,
    free_port,
    gone,
    launch,
    ready,
    started,
    wait_for,
)
from tests.gateway.test_gateway import as_json, call, message, socket_to, told

pytestmark = pytest.mark.flow


def malformed_everywhere(service: Service) -> None:
    """What kept Jina's own gateway from ever stopping."""
    service.http(raw=b'{"data": [{"blob": "_"}], "execEndpoint": "/echo"}')
    service.http(raw=b"{")
    with socket_to(service) as web:
        told(web, "{")
    with socket_to(service, subprotocols=["bytes"]) as web:
        told(web, b"\xff")
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100))
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(b"POST /post HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
    thread.start()
    return thread, answers


def over_socket(service: Service) -> object:
    with socket_to(service) as web:
        return told(web, json.dumps(as_json("/sleep", seconds=2)))["data"][0]["tags"]["slept"]


def test_requests_in_flight_finish_and_nothing_is_left(own: Service) -> None:
    ready(own)
    malformed_everywhere(own)
    idle = socket.create_connection(("127.0.0.1", own.port))
    working = [
        in_background(lambda: own.http(payload=as_json("/sleep", seconds=2))),
        in_background(lambda: call(own, message("/sleep", seconds=2)).data.docs.docs[0].tags),
        in_background(lambda: over_socket(own)),
    ]
    time.sleep(0.7)
    children = own.children()
    began = time.monotonic()
    assert own.stop(signal.SIGTERM) == 0, own.log.read_text()
    assert time.monotonic() - began < 8
    for thread, _ in working:
        thread.join(5)
    by_http, by_grpc, by_socket = (answers[0] for _, answers in working)
    assert isinstance(by_http, Reply) and by_http.body["data"][0]["tags"]["slept"] is True
    assert by_grpc["slept"] is True and by_socket is True  # type: ignore[index]
    assert len(children) == 2 and gone(children, 0.5) and not own.listens()
    idle.close()


def test_a_request_too_slow_for_the_drain_is_told_so(tmp_path: Path) -> None:
    service = launch(tmp_path, {"drain_seconds": 0.5})
    try:
        ready(service)
        thread, answers = in_background(lambda: service.http(payload=as_json("/sleep", seconds=60)))
        time.sleep(0.5)
        children = service.children()
        assert service.stop(signal.SIGINT) == 0, service.log.read_text()
        thread.join(5)
        assert isinstance(answers[0], Reply) and answers[0].status == 503
        assert answers[0].body["code"] == "UNAVAILABLE"
        assert gone(children, 0.5) and not service.listens()
    finally:
        discard(service)


def test_children_die_with_a_killed_launcher(own: Service) -> None:
    ready(own)
    children = own.children()
    own.process.kill()
    own.process.wait(5)
    assert len(children) == 2 and gone(children, 10)
    wait_for(lambda: not own.listens(), 5)  # the last thread of a process closes its files


def test_a_signal_ends_a_start_that_never_ends(tmp_path: Path) -> None:
    executor = tmp_path / "stuck.py"
    executor.write_text(
        "import signal, time\n"
        "from jina import Executor\n\n"
        "class Stuck(Executor):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "        while True:\n"
        "            time.sleep(1)\n"
    )
    flow = {
        "jtype": "Flow",
        "with": {"port": 0, "timeout_ready": -1},
        "gateway": {"uses": str(ROOT / "gateway/config.yml")},
        "executors": [{"name": "stuck", "uses": "Stuck", "py_modules": [str(executor)]}],
    }
    service = launch(tmp_path, flow=flow)
    try:
        wait_for(lambda: len(service.children()) == 2)
        time.sleep(1)
        children = service.children()
        assert children, service.log.read_text()
        service.stop(signal.SIGTERM)
        assert gone(children, 0.5)
    finally:
        discard(service)


def test_jinas_own_command_finds_the_gateway_from_the_flows_folder(tmp_path: Path) -> None:
    """Where Jina cannot find `py_modules`, because the name of the file has no folder in it."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "gateway").symlink_to(ROOT / "gateway")
    port = free_port()
    flow = flow_yaml(port, {}, {"uses": "../gateway/config.yml", "host": "127.0.0.1"})
    (tmp_path / "flows/flow.yml").write_text(json.dumps(flow))
    jina = str(Path(sys.executable).with_name("jina"))
    service = started(
        [jina, "flow", "--uses", "flow.yml"], tmp_path / "flows", port, tmp_path / "log"
    )
    try:
        wait_for(service.listens)
        assert service.http("/echo", {"data": [document()]}).status == 200
    finally:
        os.killpg(service.process.pid, signal.SIGKILL)  # Jina's children share its group
        service.process.wait(5)
