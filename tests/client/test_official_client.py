"""The unmodified official Python client, in its own environment, against the default Flow."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage.data import astronaut

from tests.gateway.service import ROOT, discard, launch_flow, read_flow, ready

CLIENT = ROOT / ".venv-client/bin/python"

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(not CLIENT.exists(), reason="no .venv-client: `make test` creates it"),
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each call of calls.py was answered by flows/fast.yml on a free port."""
    folder = tmp_path_factory.mktemp("client")
    photo = Image.fromarray(astronaut()).crop((60, 0, 420, 360)).resize((200, 200))
    photo.save(folder / "photo.jpg", quality=90)
    service = launch_flow(folder, read_flow("fast.yml"))
    try:
        ready(service)
        done = subprocess.run(
            [
                CLIENT,
                Path(__file__).with_name("calls.py"),
                f"grpc://localhost:{service.port}",
                folder,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + service.log.read_text()
        yield json.loads(done.stdout.splitlines()[-1])
    finally:
        discard(service)


def test_a_file_is_upscaled_and_saved(calls: dict[str, Any]) -> None:
    assert calls["path"] == calls["saved"] == ["PNG", 600, 600]


def test_bytes_come_back_in_their_own_format(calls: dict[str, Any]) -> None:
    assert calls["bytes"] == ["JPEG", 600, 600]


def test_a_tensor_is_upscaled(calls: dict[str, Any]) -> None:
    assert calls["tensor"] == ["JPEG", 600, 600]


def test_quality_shows(calls: dict[str, Any]) -> None:
    assert calls["sizes"] == sorted(set(calls["sizes"]))


def test_documents_keep_their_order(calls: dict[str, Any]) -> None:
    assert calls["docs"] == [[str(i), "PNG", 300, 300, "bicubic_pp.x3"] for i in range(3)]


@pytest.mark.parametrize(
    ("call", "words"),
    [("too large", "scale .*at most 600x600"), ("not an image", "document .*expected")],
)
def test_an_error_says_what_was_wrong(calls: dict[str, Any], call: str, words: str) -> None:
    assert re.search(words, calls[call], re.DOTALL), calls[call]
    assert "Traceback" not in calls[call]


def test_the_service_lives_on_after_errors(calls: dict[str, Any]) -> None:
    assert calls["still there"] == ["JPEG", 600, 600]
