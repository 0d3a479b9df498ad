"""What a hostile request costs others: the gateway's memory, and the time of its neighbours."""

import http.client
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.gateway.service import Service
from tests.inputs import png

PROBE_SECONDS = 0.02
PATIENCE_SECONDS = 120


@dataclass
class Costs:
    """What was seen while a hostile request was worked on."""

    memory: int = 0
    """Bytes that the gateway had more than before, at its peak."""

    health_seconds: float = 0
    image_seconds: float = 0
    statuses: set[int] = field(default_factory=set)


@contextmanager
def watch(service: Service) -> Iterator[Costs]:
    """Ask for health and for a small image again and again, and look at the gateway's memory."""
    costs, stop = Costs(), threading.Event()
    gateway = find_listener(service)
    before = _reset_peak(gateway)
    probes = [
        threading.Thread(target=_probe_health, args=(service.port, costs, stop)),
        threading.Thread(target=_probe_image, args=(service.port, costs, stop)),
    ]
    for probe in probes:
        probe.start()
    try:
        yield costs
    finally:
        stop.set()
        for probe in probes:
            probe.join(PATIENCE_SECONDS)
    costs.memory = _read_memory(gateway, "VmHWM") - before


def find_listener(service: Service) -> int:
    """The process id of the gateway: the one that listens on the service's port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{service.port:04X}"
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "0A"}
    for pid in [service.process.pid, *service.children()]:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if str(link.readlink()) in sockets:
                return pid
    raise LookupError(f"no process listens on {service.port}")


def _reset_peak(pid: int) -> int:
    """Bytes that a process holds, from which its peak is counted anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _read_memory(pid, "VmRSS")


def _read_memory(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _probe_health(port: int, costs: Costs, stop: threading.Event) -> None:
    while not stop.is_set():
        seconds, status = _ask(port, "GET", "/")
        costs.health_seconds = max(costs.health_seconds, seconds)
        costs.statuses.add(status)
        time.sleep(PROBE_SECONDS)


def _probe_image(port: int, costs: Costs, stop: threading.Event) -> None:
    image = png()
    while not stop.is_set():
        seconds, status = _ask(port, "POST", "/upscale", image)
        costs.image_seconds = max(costs.image_seconds, seconds)
        costs.statuses.add(status)
        time.sleep(PROBE_SECONDS)


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[float, int]:
    """Seconds and status of a request on a connection of its own."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        return time.monotonic() - began, answer.status
    finally:
        connection.close()


def read_processor_seconds(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
