"""A real Flow behind the launcher, on a free port of loopback, for tests to talk to."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ECHO = Path(__file__).with_name("echo.py")
START_SECONDS = 90.0  # on a machine that is busy with other tests


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: Any
    headers: Message


@dataclass(frozen=True)
class Service:
    """A launcher in a process group of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    certificate: Path | None = None

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What a client needs to believe the certificate; None where the port is plain."""
        if self.certificate is None:
            return None
        return ssl.create_default_context(cafile=str(self.certificate))

    def http(
        self,
        path: str = "/post",
        payload: object = None,
        *,
        raw: bytes | None = None,
        method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """A request in JSON, its answer parsed."""
        body = raw if raw is not None or payload is None else json.dumps(payload).encode()
        headers = {"content-type": "application/json"} | (headers or {})
        reply = self.bytes(path, body, method=method, headers=headers)
        return Reply(reply.status, json.loads(reply.body), reply.headers)

    def bytes(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """A request as it is, its answer's body as bytes."""
        url = f"http{'s' if self.certificate else ''}://localhost:{self.port}{path}"
        request = urllib.request.Request(url, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
                return Reply(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read(), error.headers)

    def children(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True,
            check=False,
            text=True,
        )
        return [int(word) for word in listed.stdout.split()]

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def document(blob: bytes = b"picture", **fields: Any) -> dict[str, Any]:
    return {"blob": base64.b64encode(blob).decode(), **fields}


def flow_yaml(port: int, settings: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    """A Flow of the gateway and one Echo; `settings` go to uses_with, `block` beside it."""
    gateway = {"uses": str(ROOT / "gateway/config.yml"), "uses_with": settings}
    return {
        "jtype": "Flow",
        "with": {"protocol": "grpc", "port": port, "timeout_ready": int(START_SECONDS * 1000)},
        "gateway": gateway | block,
        "executors": [{"name": "echo", "uses": "Echo", "py_modules": [str(ECHO)]}],
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(
    folder: Path, settings: dict[str, Any] | None = None, flow: dict[str, Any] | None = None
) -> Service:
    """A launcher that may not be ready yet."""
    default = flow_yaml(free_port(), {"drain_seconds": 8} | (settings or {}), {})
    return launch_flow(folder, flow or default)


def read_flow(name: str) -> dict[str, Any]:
    """flows/NAME on a free port, its paths from the root of the repository."""
    text = (ROOT / "flows" / name).read_text().replace("../", f"{ROOT}/")
    flow: dict[str, Any] = yaml.safe_load(text)
    flow["with"]["port"] = free_port()
    return flow


def launch_flow(
    folder: Path, flow: dict[str, Any], variables: Mapping[str, str] | None = None
) -> Service:
    """A launcher of `flow`, written into `folder`, that may not be ready yet."""
    (folder / "flow.yml").write_text(json.dumps(flow))  # JSON is YAML
    command = [sys.executable, "-m", "gateway.launcher", "--uses", str(folder / "flow.yml")]
    return started(command, ROOT, flow["with"]["port"], folder / "log.txt", variables)


def started(
    command: list[str], cwd: Path, port: int, log: Path, variables: Mapping[str, str] | None = None
) -> Service:
    """`command` in a process group of its own, its output in `log`."""
    environment = {"PYTHONWARNINGS": "ignore", "JINA_OPTOUT_TELEMETRY": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=os.environ | environment | dict(variables or {}),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Service(process, port, log)


def ready(service: Service) -> Service:
    """The service once it serves. Fails the test with the log if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while "ready: " not in service.log.read_text():
        alive = service.process.poll() is None and time.monotonic() < deadline
        assert alive, service.log.read_text()
        time.sleep(0.05)
    return service


def discard(service: Service) -> None:
    """Leaves nothing behind, whatever the test did."""
    children = service.children()
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait(10)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Returns once `condition` holds; fails the test otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pids: list[int], seconds: float = 5) -> bool:
    """Whether all these processes end within `seconds`."""
    deadline = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
