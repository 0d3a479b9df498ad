"""The tab Create, where a Flow makes images, in a real browser with a tiny pipeline."""

import json
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from tests.browser.chromium import NEEDS_CHROMIUM, Browser, running
from tests.gateway.service import Service, discard, launch_flow, read_flow, ready, wait_for
from tests.superres.generation.tiny_generator import write_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.flow, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("create")
    variables = {
        "SUPERRES_GENERATOR": str(write_pipeline(folder / "tiny")),
        "SUPERRES_OFFLINE": "true",
    }
    started = launch_flow(folder, read_flow("text-to-image.yml"), variables)
    yield ready(started)
    discard(started)


@pytest.fixture
def page(service: Service, tmp_path: Path) -> Iterator[Browser]:
    with running(tmp_path) as window:
        window.open(f"http://localhost:{service.port}/ui")
        window.wait("!document.getElementById('model').disabled")
        window.click("label:has([name=source][value=create])")
        yield window


def test_a_prompt_gives_both_images(page: Browser, service: Service) -> None:
    page.type("#prompt", "cat")
    page.type("#create-steps", "2")
    page.type("#create-seed", "7")
    page.click("#create-start")
    page.wait("document.body.dataset.state === 'done'", 60)
    assert "32 × 32 → 128 × 128" in page.text("#facts")
    page.click("#download")
    file = page.downloads / "created-128x128.png"
    wait_for(file.exists)
    body = {"data": [{}], "parameters": {"prompt": "cat", "steps": 2, "seed": 7}}
    kind = {"Content-Type": "application/json"}
    url = f"http://localhost:{service.port}/imagine"
    with urlopen(Request(url, json.dumps(body).encode(), kind), timeout=60) as answer:
        (document,) = json.load(answer)["data"]
    assert file.read_bytes() == b64decode(document["blob"])
    with Image.open(BytesIO(b64decode(document["chunks"][0]["blob"]))) as made:
        assert made.size == (32, 32)


def test_what_is_wrong_is_told_and_the_page_goes_on(page: Browser) -> None:
    page.type("#prompt", "cat")
    page.type("#create-width", "30")
    page.click("#create-start")
    page.wait("!document.getElementById('problem').hidden", 60)
    assert "width" in page.text("#problem")
    assert page.value("document.body.dataset.state") == "empty"
