"""A pinned commit of the hub is downloaded from a server of our own, then used offline."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "owner/tiny"
CODE = """
import sys, torch
from pathlib import Path
from superres.generation.generator import Generator
from superres.generation.options import PromptSampling
from superres.geometry import Size
from superres.inference.device import Device
from superres.weights.store import Store
store = Store(Path(sys.argv[1]), sys.argv[2] == "offline", ())
generator = Generator(sys.argv[3], Device(torch.device("cpu")), store)
made = generator.imagine(PromptSampling("cat", 1, steps=1), Size(32, 32), lambda *_: None)
print("made", made.pixels.shape)
"""


class Hub(ThreadingHTTPServer):
    """As much of the hub's interface as a download needs; it remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path == f"/api/models/{NAME}/revision/{COMMIT}":
            files = [p for p in self.server.folder.rglob("*") if p.is_file()]
            names = [{"rfilename": p.relative_to(self.server.folder).as_posix()} for p in files]
            return self.send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": names}).encode())
        if path == f"/api/models/{NAME}/tree/{COMMIT}":
            tree = [
                {
                    "type": "file",
                    "path": file.relative_to(self.server.folder).as_posix(),
                    "size": file.stat().st_size,
                    "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
                }
                for file in self.server.folder.rglob("*")
                if file.is_file()
            ]
            return self.send(json.dumps(tree).encode())
        prefix = f"/{NAME}/resolve/{COMMIT}/"
        file = self.server.folder / path.removeprefix(prefix)
        if not path.startswith(prefix) or not file.is_file():
            self.send_error(404)
            return None
        return self.send(file.read_bytes(), with_body)

    def send(self, data: bytes, with_body: bool = True) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub(pipeline_folder: Path) -> Iterator[Hub]:
    server = Hub(pipeline_folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(cache: Path, line: str, reference: str, hub: Hub) -> subprocess.CompletedProcess[str]:
    variables = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", CODE, str(cache), line, reference]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_it_is_downloaded_once_and_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    reference = f"{NAME}@{COMMIT}"
    first = run(tmp_path, "online", reference, hub)
    assert first.stdout.endswith("made (32, 32, 3)\n"), first.stderr
    assert any(path.endswith("unet/diffusion_pytorch_model.safetensors") for path in hub.asked)
    hub.asked.clear()
    again = run(tmp_path, "offline", reference, hub)
    assert again.stdout.endswith("made (32, 32, 3)\n"), again.stderr
    assert not hub.asked


def test_a_commit_that_is_not_there_is_told(hub: Hub, tmp_path: Path) -> None:
    done = run(tmp_path, "online", f"{NAME}@{'f' * 40}", hub)
    assert done.returncode != 0
    assert "WeightsMissing" in done.stderr
