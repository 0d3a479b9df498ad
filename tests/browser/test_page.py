"""The page at /ui in a real browser, against real Flows."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from PIL import Image

from tests.browser.chromium import NEEDS_CHROMIUM, Browser, running
from tests.gateway.service import ROOT, Service, discard, free_port, launch, ready, wait_for

KEY = "open-sesame"
READY = "document.body.dataset.state === 'ready'"
DONE = "document.body.dataset.state === 'done'"
MODELS = "!document.getElementById('model').disabled"
SHOWN = "document.getElementById('{}').checkVisibility()"

pytestmark = [pytest.mark.browser, pytest.mark.flow, NEEDS_CHROMIUM]


def default_flow(port: int, gateway: dict[str, Any], executor: dict[str, Any]) -> dict[str, Any]:
    """flows/fast.yml on another port, with more settings."""
    text = (ROOT / "flows/fast.yml").read_text().replace("../", f"{ROOT}/")
    flow: dict[str, Any] = yaml.safe_load(text)
    flow["with"]["port"] = port
    flow["gateway"] |= {"host": "127.0.0.1", "uses_with": gateway}
    flow["executors"][0]["uses_with"] |= executor
    return flow


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    """Two that start at the same time: the default, and one with a key and small tiles."""
    settings: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "open": ({}, {}),
        "keyed": ({"api_keys": [KEY]}, {"memory_limit_mb": 4, "threads": 1}),
    }
    services = {}
    for name, (gateway, executor) in settings.items():
        port = free_port()
        flow = default_flow(port, gateway, executor)
        services[name] = replace(launch(tmp_path_factory.mktemp(name), flow=flow), port=port)
    yield services
    for service in services.values():
        discard(service)


@pytest.fixture(scope="module")
def browser(
    launched: dict[str, Service], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a photo.jpg"
    with Image.open(Path(str(files("skimage"))) / "data/astronaut.png") as portrait:
        portrait.crop((60, 0, 420, 360)).resize((200, 200)).save(path, quality=90)
    return path


@pytest.fixture
def page(browser: Browser, launched: dict[str, Service]) -> Browser:
    """The page of the open service, empty."""
    browser.open(address(ready(launched["open"])))
    browser.wait(MODELS)
    return browser


@pytest.fixture
def locked(browser: Browser, launched: dict[str, Service]) -> Iterator[Browser]:
    """The page of the service with a key, which asks for it."""
    browser.open(address(ready(launched["keyed"])))
    browser.wait("document.getElementById('key-dialog').open")
    yield browser
    browser.script("sessionStorage.clear()")


def address(service: Service) -> str:
    return f"http://localhost:{service.port}/ui"


def choose(page: Browser, file: Path) -> None:
    page.type("#file", str(file))
    page.wait(READY)


def upscale(page: Browser, file: Path) -> None:
    choose(page, file)
    page.click("#start")
    page.wait(DONE)


def pick(page: Browser, name: str, value: str) -> None:
    """Chooses one of the radio buttons `name`, as a person does: on its label."""
    page.click(f"label:has([name={name}][value='{value}'])")


def state_of(divider: str) -> str:
    return f"Number(document.getElementById('{divider}').getAttribute('aria-valuenow'))"


def download(page: Browser, name: str) -> bytes:
    """The file that a click on Download leaves on the disk."""
    file = page.downloads / name
    page.click("#download")
    wait_for(file.exists)
    data = file.read_bytes()
    file.unlink()
    return data


def posted(service: Service, query: str, body: bytes) -> bytes:
    """What the service answers to the same request without a browser."""
    url = f"http://localhost:{service.port}/upscale{query}"
    request = Request(url, body, {"Content-Type": "image/jpeg"})
    with urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def test_a_sample_is_there_for_those_who_brought_nothing(page: Browser) -> None:
    page.click("#sample-button")
    page.wait(READY)
    assert page.value("document.getElementById('preview-image').naturalWidth") == 96
    page.click("#start")
    page.wait(DONE)
    assert page.value("document.getElementById('after').naturalWidth") == 288


def test_a_picture_is_upscaled_and_downloaded(
    page: Browser, photo: Path, launched: dict[str, Service]
) -> None:
    pick(page, "format", "png")
    upscale(page, photo)
    data = download(page, "a photo-600x600.png")
    assert Image.open(BytesIO(data)).size == (600, 600)
    assert data == posted(launched["open"], "?image_format=png", photo.read_bytes())
    facts = page.text("#facts")
    assert "200 × 200 → 600 × 600" in facts and "bicubic_pp.x3" in facts and "s in all" in facts


def test_the_target_size_can_be_chosen(page: Browser, photo: Path) -> None:
    choose(page, photo)
    pick(page, "target", "width")
    page.type("#width", "450")
    assert page.text("#target-hint") == "450 × 450 pixels, at most 600 wide."
    page.click("#start")
    page.wait(DONE)
    assert "450 × 450" in page.text("#facts")


def test_a_picture_is_restored_at_its_own_size(
    page: Browser, photo: Path, launched: dict[str, Service]
) -> None:
    choose(page, photo)
    page.script(
        "for (const [id, value] of [['restore', 'deblock,denoise'], ['strength', '0.5']]) {"
        " const input = document.getElementById(id); input.value = value;"
        " input.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    assert page.text("#target-hint") == "200 × 200 pixels."
    pick(page, "format", "png")
    page.click("#start")
    page.wait(DONE)
    data = download(page, "a photo-200x200.png")
    query = "?image_format=png&restore=deblock,denoise&strength=0.5"
    assert data == posted(launched["open"], query, photo.read_bytes())


def test_the_divider_is_a_slider_for_the_keyboard(page: Browser, photo: Path) -> None:
    upscale(page, photo)
    now, divider = state_of("divider"), "document.getElementById('divider')"
    assert page.label("#divider") == ("slider", "Before and after")
    page.script(f"{divider}.focus()")
    places = []
    for key in ("Right", "Left", "Left", "Home", "End"):
        page.press(key)
        places.append(page.value(now))
    assert places == [51, 50, 49, 0, 100]
    assert page.value(f"{divider}.getAttribute('aria-valuetext')") == "100 % before"
    edge = f"{divider}.getBoundingClientRect().x + {divider}.offsetWidth / 2"
    picture = page.value("document.getElementById('after').getBoundingClientRect().right")
    assert page.value(edge) == pytest.approx(picture, abs=1.5)


def test_zoom_shows_pixels_and_the_picture_moves(page: Browser, photo: Path) -> None:
    upscale(page, photo)
    pick(page, "zoom", "4")
    box = "document.getElementById('{}').getBoundingClientRect()"
    before, after = (page.value(box.format(name)) for name in ("before", "after"))
    assert before == after
    assert after["width"] * page.value("devicePixelRatio") == pytest.approx(2400)
    style = "getComputedStyle(document.getElementById('{}')).imageRendering"
    assert page.value(style.format("after")) == page.value(style.format("before")) == "pixelated"
    pick(page, "enlarged", "smooth")
    assert page.value(style.format("before")) == "auto"
    page.script("document.getElementById('view').focus()")
    page.press("Right")
    assert page.value(box.format("after"))["x"] == pytest.approx(after["x"] - 60, abs=1)


def test_a_wrong_scale_is_explained_beside_its_field(page: Browser, photo: Path) -> None:
    choose(page, photo)
    pick(page, "target", "free")
    page.type("#scale", "iw*4:-1")
    page.click("#start")
    page.wait(SHOWN.format("problem"))
    assert page.label("#problem")[0] == "alert"
    assert 'scale "iw*4:-1"' in page.text("#problem-message")
    assert "SCALE_TOO_LARGE" in page.text("#problem-code")
    assert page.text("#scale-error").startswith("At most 600x600")
    assert page.value("document.activeElement.matches('#scale[aria-invalid=true]')")
    page.type("#scale", "\ue009a")  # Ctrl-A
    page.type("#scale", "iw*2:-1\ue007")
    page.wait(DONE)
    assert not page.value(SHOWN.format("problem"))


def test_what_is_no_picture_is_refused(page: Browser, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no image at all")
    choose(page, text)
    assert page.value(SHOWN.format("preview-note"))
    page.click("#start")
    page.wait(SHOWN.format("problem"))
    assert "UNDECODABLE" in page.text("#problem-code")
    page.click("#problem-close")
    assert not page.value(SHOWN.format("problem"))


def test_a_picture_that_browsers_cannot_show_comes_with_a_note(
    page: Browser, photo: Path, tmp_path: Path
) -> None:
    Image.open(photo).save(tmp_path / "scan.tiff")
    pick(page, "format", "webp")
    upscale(page, tmp_path / "scan.tiff")
    assert "cannot show the original" in page.text("#viewer-note")
    assert page.value("document.getElementById('after').naturalWidth") == 600
    assert not page.value(SHOWN.format("divider"))


@pytest.mark.parametrize(("event", "field"), [("paste", "clipboardData"), ("drop", "dataTransfer")])
def test_a_picture_can_be_pasted_and_dropped(page: Browser, event: str, field: str) -> None:
    page.script(
        """
        const [type, field] = arguments;
        const data = new DataTransfer();
        const canvas = Object.assign(document.createElement('canvas'), { width: 30, height: 20 });
        return new Promise((resolve) => canvas.toBlob((blob) => {
          data.items.add(new File([blob], `${type}.png`, { type: 'image/png' }));
          const Kind = { paste: ClipboardEvent, drop: DragEvent }[type];
          resolve(window.dispatchEvent(new Kind(type, { [field]: data, cancelable: true })));
        }));
        """,
        event,
        field,
    )
    page.wait(READY)
    assert page.text("#chosen-name") == f"{event}.png"
    assert page.text("#chosen-facts").startswith("30 × 20 · PNG")


def test_the_key_is_asked_for_until_it_is_right_and_kept_in_this_tab(
    locked: Browser, photo: Path
) -> None:
    assert locked.label("#key") == ("textbox", "API key")
    assert not locked.value(SHOWN.format("api"))
    locked.type("#key", "wrong\ue007")
    locked.wait(SHOWN.format("key-refused"))
    locked.type("#key", f"{KEY}\ue007")
    locked.wait(MODELS)
    upscale(locked, photo)
    assert locked.value("Object.values(sessionStorage)") == [KEY]
    assert locked.value("localStorage.length + document.cookie.length") == 0
    assert KEY not in locked.text("#snippet-text")
    assert "os.environ['SUPERRES_API_KEY']" in locked.text("#snippet-text")


def test_progress_counts_tiles_and_the_work_can_be_cancelled(
    locked: Browser, photo: Path, tmp_path: Path
) -> None:
    locked.type("#key", f"{KEY}\ue007")
    locked.wait(MODELS)
    large = tmp_path / "large.jpg"
    Image.open(photo).resize((3000, 2000)).save(large, quality=80)
    choose(locked, large)
    locked.click("#start")
    words = "document.getElementById('working-text').textContent"
    told = str(locked.wait(f"/^[1-9].* tiles$/.test({words}) && {words}"))
    done, total = (int(word) for word in told.split() if word.isdigit())
    assert 0 < done < total
    assert 0 < locked.value("document.getElementById('working-bar').value") < 1
    locked.click("#cancel")
    locked.wait(READY)
    assert not locked.value(SHOWN.format("problem"))


def test_the_code_sends_the_options(page: Browser, photo: Path, tmp_path: Path) -> None:
    page.script("document.getElementById('model').focus()")
    page.type("#model", "bicubic_pp.x2")
    pick(page, "format", "webp")
    choose(page, photo)
    wanted = {"model": "bicubic_pp.x2", "image_format": "webp"}
    python = page.text("#snippet-text")
    compile(python, "snippet", "exec")
    assert str(wanted) in python and "'a photo.jpg'" in python
    page.click("#tab-javascript")
    javascript = page.text("#snippet-text")
    assert all(f"{name}: '{value}'" in javascript for name, value in wanted.items())
    page.script("document.getElementById('tab-javascript').focus()")
    page.press("Right")
    curl = page.text("#snippet-text")
    assert page.value("document.activeElement.id") == "tab-curl" and curl.startswith("curl ")
    if shutil.which("curl") is None:
        pytest.skip("no curl to run the command with")
    (tmp_path / photo.name).write_bytes(photo.read_bytes())
    subprocess.run(["bash", "-c", curl], cwd=tmp_path, check=True, capture_output=True, timeout=30)
    with Image.open(tmp_path / "a photo-upscaled.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (400, 400))


def test_copying_is_confirmed(page: Browser) -> None:
    page.click("#copy")
    assert page.wait("document.getElementById('copy').textContent !== 'Copy'")
    assert page.text("#copy") == "Copied"


def test_nothing_is_loaded_from_elsewhere(page: Browser, photo: Path) -> None:
    upscale(page, photo)
    entries = page.value("JSON.stringify(performance.getEntriesByType('resource'))")
    addresses = {entry["name"].removeprefix("blob:") for entry in json.loads(entries)}
    origin = page.value("location.origin")
    assert addresses and all(address.startswith(f"{origin}/") for address in addresses)


def test_the_page_fits_a_small_phone(page: Browser, photo: Path) -> None:
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.devtools("Emulation.setDeviceMetricsOverride", **screen)
    try:
        widths = [page.value("document.documentElement.scrollWidth")]
        upscale(page, photo)
        widths.append(page.value("document.documentElement.scrollWidth"))
    finally:
        page.devtools("Emulation.clearDeviceMetricsOverride")
    assert widths == [360, 360]
