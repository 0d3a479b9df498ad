"""Jina's own command, from the folder of the Flow, and its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.service import ROOT, Service, discard, free_port, gone, started, wait_for

pytestmark = pytest.mark.flow
JINA = Path(sys.executable).with_name("jina")


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Service]:
    """`cd flows && jina flow --uses flow.yml`, on a free port."""
    (tmp_path / "flows").mkdir()
    for name in ("executors", "gateway", "superres"):
        (tmp_path / name).symlink_to(ROOT / name)
    port = free_port()
    text = (ROOT / "flows/flow.yml").read_text().replace("port: 51001", f"port: {port}")
    (tmp_path / "flows/flow.yml").write_text(text)
    command = [str(JINA), "flow", "--uses", "flow.yml"]
    service = started(command, tmp_path / "flows", port, tmp_path / "log.txt")
    wait_for(lambda: "ready to serve" in service.log.read_text(), 60)
    yield service
    discard(service)


def test_it_serves_answers_pings_and_ends_without_leftovers(flow: Service) -> None:
    for protocol in ("grpc", "http", "ws"):
        target = f"{protocol}://localhost:{flow.port}"
        pinged = subprocess.run(
            [str(JINA), "ping", "flow", target, "--attempts", "1"],
            capture_output=True,
            timeout=30,
            check=False,
            env=os.environ | {"JINA_OPTOUT_TELEMETRY": "1"},
        )
        assert pinged.returncode == 0, pinged.stdout
    assert flow.http(raw=b"{").status == 400
    children = flow.children()
    assert children
    flow.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    flow.process.wait(15)
    assert gone(children, 15 - (time.monotonic() - began))
    wait_for(lambda: not flow.listens(), 5)  # the last thread of a process closes its files
