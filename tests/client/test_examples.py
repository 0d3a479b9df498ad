"""Every example does what it says, against the default Flow."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from superres.cli.main import main
from tests.browser.chromium import CHROMEDRIVER, CHROMIUM
from tests.browser.chromium import running as chromium
from tests.client.conftest import EXAMPLES
from tests.client.flows import serving
from tests.gateway.service import ROOT, Service

CLIENT = ROOT / ".venv-client/bin/python"

pytestmark = pytest.mark.flow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The default Flow, open to pages from elsewhere as examples/browser.html needs it."""
    with serving(tmp_path_factory.mktemp("flow"), block={"cors": True}) as running:
        yield running


def example(
    command: list[str | Path], service: Service, protocol: str = "http"
) -> subprocess.CompletedProcess[str]:
    endpoint = f"{protocol}://localhost:{service.port}"
    done = subprocess.run(
        command,
        env=os.environ | {"SUPERRES_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + service.log.read_text()
    return done


def pictures(folder: Path) -> dict[str, tuple[str | None, tuple[int, int]]]:
    """Format and size of each file in a folder."""
    found = {}
    for path in folder.iterdir():
        with Image.open(path) as picture:
            picture.load()
            found[path.name] = (picture.format, picture.size)
    return found


@pytest.mark.skipif(not CLIENT.exists(), reason="no .venv-client: `make test` creates it")
def test_the_python_client_upscales_files_bytes_and_documents(
    service: Service, photo: Path, tmp_path: Path
) -> None:
    done = example([CLIENT, EXAMPLES / "upscale.py", photo, tmp_path], service, "grpc")
    assert pictures(tmp_path) == {
        "file.png": ("PNG", (600, 600)),
        "bytes.jpg": ("JPEG", (600, 600)),
        "small.jpeg": ("JPEG", (300, 300)),
        "webp.webp": ("WEBP", (450, 450)),
    }
    lines = done.stdout.split("\n")[-4:]  # the client prints a progress bar before
    assert lines[0] == "small: 300x300 jpeg by bicubic_pp.x3"
    assert lines[2].startswith("broken: ") and "expected" in lines[2]


def test_the_javascript_client_upscales_files_and_base64(
    service: Service, photo: Path, tmp_path: Path, node: str
) -> None:
    done = example([node, EXAMPLES / "upscale.mjs", photo, tmp_path], service)
    assert pictures(tmp_path) == {
        "file.png": ("PNG", (600, 600)),
        "bytes.jpg": ("JPEG", (600, 600)),
    }
    assert "the client says: Cannot read properties of undefined" in done.stdout
    assert re.search('the server says: .*scale "100000:-1": .* at most 600x600', done.stdout)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_upscales_bytes_a_form_and_json(service: Service, photo: Path, tmp_path: Path) -> None:
    example([EXAMPLES / "upscale.sh", photo, tmp_path], service)
    assert pictures(tmp_path) == {
        "raw.png": ("PNG", (600, 600)),
        "form.webp": ("WEBP", (400, 400)),
        "json.jpg": ("JPEG", (600, 600)),
    }


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_ends_with_the_message_of_an_error(service: Service, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    done = subprocess.run(
        [EXAMPLES / "upscale.sh", tmp_path / "broken.jpg", tmp_path / "made"],
        env=os.environ | {"SUPERRES_ENDPOINT": f"http://localhost:{service.port}"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 22
    assert json.loads((tmp_path / "made/raw.png").read_text())["code"] == "UNDECODABLE"


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no Chromium with chromedriver")
def test_a_browser_shows_the_larger_picture_or_the_error(
    service: Service, photo: Path, tmp_path: Path
) -> None:
    page = (EXAMPLES / "browser.html").as_uri()
    output = "document.querySelector('output').dataset.state"
    with chromium(tmp_path) as browser:
        browser.open(f"{page}?endpoint=http://localhost:{service.port}")
        browser.type("[name=file]", str(photo))
        browser.type("[name=scale]", "iw*2:-1")
        browser.click("button")
        browser.wait(f"{output} == 'done'")
        assert browser.text("output") == "400x400 by bicubic_pp.x3"
        browser.type("[name=scale]", "000")
        browser.click("button")
        browser.wait(f"{output} == 'failed'")
        assert 'scale "iw*2:-1000": expected' in browser.text("output")


def test_the_page_asks_nobody_else() -> None:
    text = (EXAMPLES / "browser.html").read_text()
    assert set(re.findall(r"https?://[^\s'\"<]+", text)) == {"http://localhost:51001"}


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((EXAMPLES / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    named = [entry for name, entry in lock["packages"].items() if name]
    assert all(entry["integrity"].startswith("sha512-") for entry in named)


def test_the_command_line_upscales_through_a_server(
    service: Service, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    server = f"http://localhost:{service.port}"
    wish = ["--scale", "iw*2:-1", "--format", "webp", "--quality", "80", "--tile", "64"]
    assert main(["upscale", str(tmp_path), "--server", server, *wish]) == 1
    (tmp_path / "noise.png").unlink()
    assert pictures(tmp_path)["photo.upscaled.webp"] == ("WEBP", (400, 400))
    printed = capsys.readouterr()
    assert printed.out.endswith("photo.upscaled.webp\n")
    assert printed.err.startswith(f"{tmp_path}/noise.png: ")
    assert main(["upscale", str(photo), "--server", server, "--model", "no.x9"]) == 2
    assert "bicubic_pp.x3" in capsys.readouterr().err
