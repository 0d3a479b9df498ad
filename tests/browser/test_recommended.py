"""The page where several models of one scale are served: what it tells, and what it lets choose."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.browser.chromium import NEEDS_CHROMIUM, Browser, running
from tests.gateway.service import ROOT, Service, discard, free_port, launch, ready

MODELS = "!document.getElementById('model').disabled"
DONE = "document.body.dataset.state === 'done'"
HINT = "document.getElementById('model-hint').textContent"

pytestmark = [pytest.mark.browser, pytest.mark.flow, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """flows/flow.yml on another port."""
    flow = yaml.safe_load((ROOT / "flows/flow.yml").read_text().replace("../", f"{ROOT}/"))
    flow["with"]["port"] = port = free_port()
    flow["gateway"]["host"] = "127.0.0.1"
    started = replace(launch(tmp_path_factory.mktemp("default"), flow=flow), port=port)
    yield ready(started)
    discard(started)


@pytest.fixture(scope="module")
def browser(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("browser")) as window:
        window.open(f"http://localhost:{service.port}/ui/")
        window.wait(MODELS)
        yield window


def choose(browser: Browser, model: str) -> None:
    browser.script(
        "const field = document.getElementById('model'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('change', { bubbles: true }))",
        model,
    )


def test_it_tells_what_is_known_of_the_chosen_model(browser: Browser) -> None:
    choose(browser, "compact.photo-x4")
    told = browser.value(HINT)
    assert "licence BSD-3-Clause" in told and "s per megapixel here" in told
    assert "quality " in told and "bicubic's " in told


def test_preferences_are_offered_beside_the_models(browser: Browser) -> None:
    values = browser.value("[...document.getElementById('model').options].map(o => o.value)")
    assert values[-3:] == ["auto:fast", "auto:balanced", "auto:best"]
    assert browser.value("document.getElementById('model').selectedIndex") == 0


def test_the_answer_says_which_model_was_chosen_and_why(browser: Browser, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    with Image.open(Path(str(files("skimage"))) / "data/astronaut.png") as portrait:
        portrait.resize((64, 64)).save(photo)
    choose(browser, "auto:fast")
    assert "says which model" in browser.value(HINT)
    browser.type("#file", str(photo))
    browser.wait("document.body.dataset.state === 'ready'")
    browser.click("#start")
    browser.wait(DONE)
    told = browser.value("document.body.innerText")
    assert "Model bicubic_pp.x4: the cheapest of 2 x4 models" in told
