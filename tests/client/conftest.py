"""What tests of clients share: a photo, and the official JavaScript client."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image
from skimage.data import astronaut

from tests.gateway.service import ROOT

EXAMPLES = ROOT / "examples"
INSTALLED = EXAMPLES / "node_modules/inference-client/package.json"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG file of 200x200 pixels."""
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(astronaut()).crop((60, 0, 420, 360)).resize((200, 200)).save(path, quality=90)
    return path


@pytest.fixture(scope="session")
def node() -> str:
    """Node's program, with the official client installed in examples/node_modules."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed: no JavaScript client")
    with FileLock(EXAMPLES / ".npm.lock"):  # test files run side by side
        reason = None if is_installed() else installation(npm)
    if reason is not None:
        pytest.skip(f"npm cannot install the JavaScript client: {reason}")
    return node


def installation(npm: str) -> str | None:
    """Install the JavaScript client; why that failed, if it did."""
    done = subprocess.run(
        [npm, *INSTALL], cwd=EXAMPLES, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode == 0 and is_installed():
        return None
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def is_installed() -> bool:
    """Whether the version that examples/package.json asks for is there."""
    wanted = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]["inference-client"]
    return INSTALLED.is_file() and json.loads(INSTALLED.read_text())["version"] == wanted
