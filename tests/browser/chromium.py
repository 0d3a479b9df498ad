"""Headless Chromium, driven through chromedriver's own HTTP interface (W3C WebDriver)."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.service import free_port

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="no chromium or chromedriver: `apt-get install chromium chromium-driver`",
)
START_SECONDS = 30.0
WAIT_SECONDS = 20.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, by the standard

FLAGS = [
    "--headless=new",
    "--no-sandbox",  # containers have no user namespaces; the only pages are our own
    "--no-proxy-server",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
]
KEYS = {"Left": "\ue012", "Right": "\ue014", "Home": "\ue011", "End": "\ue010", "Enter": "\ue007"}


class Browser:
    """One window. Elements are named by CSS selectors."""

    def __init__(self, driver: str, downloads: Path) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._base = driver
        self._base = f"{driver}/session/{self._send('POST', '/session', _wishes(downloads))}"
        self.downloads = downloads

    def open(self, url: str) -> None:
        """Returns once the page and its modules have loaded.

        Leaves the former page first: where the address is the same, chromedriver may answer
        while that one is still there, and what a test does next is lost with it.
        """
        self._send("POST", "/url", {"url": "about:blank"})
        self._send("POST", "/url", {"url": url})
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def script(self, source: str, *arguments: object) -> Any:
        """What `source`, the body of a function, returns or its promise resolves to."""
        return self._send("POST", "/execute/sync", {"script": source, "args": arguments})

    def value(self, expression: str) -> Any:
        return self.script(f"return {expression}")

    def wait(self, expression: str, seconds: float = WAIT_SECONDS) -> Any:
        """The value of `expression` as soon as it is truthy."""
        deadline = time.monotonic() + seconds
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, f"{expression}: still {value!r}; {self.told()}"
            time.sleep(0.05)
        return value

    def told(self) -> str:
        """All that the page says, for messages."""
        return str(self.value("document.body.innerText"))

    def text(self, selector: str) -> str:
        return str(self._send("GET", f"/element/{self._find(selector)}/text"))

    def label(self, selector: str) -> tuple[str, str]:
        """Role and name of an element, as a screen reader is told."""
        element = self._find(selector)
        role = self._send("GET", f"/element/{element}/computedrole")
        return str(role), str(self._send("GET", f"/element/{element}/computedlabel"))

    def click(self, selector: str) -> None:
        self._send("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Types into an element; the path of a file chooses it."""
        self._send("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def press(self, *names: str) -> None:
        """Presses keys, one after the other, wherever the focus is."""
        strokes = [KEYS.get(name, name) for name in names]
        actions = [{"type": way, "value": s} for s in strokes for way in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._send("POST", "/actions", {"actions": [keyboard]})

    def devtools(self, command: str, **parameters: object) -> Any:
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._send("GET", "/screenshot"))

    def close(self) -> None:
        self._send("DELETE", "")

    def _find(self, selector: str) -> str:
        query = {"using": "css selector", "value": selector}
        return str(self._send("POST", "/element", query)[ELEMENT])

    def _send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                value = json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None
        return value["sessionId"] if path == "/session" else value


def _wishes(downloads: Path) -> dict[str, Any]:
    profile = downloads.parent / "profile"
    options = {
        "binary": CHROMIUM,
        "args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"],
        "prefs": {"download.default_directory": str(downloads)},
    }
    return {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser with its profile and downloads in `folder`; no process of it stays behind."""
    downloads = folder / "downloads"
    downloads.mkdir()
    port = free_port()
    assert CHROMEDRIVER is not None
    driver = subprocess.Popen(
        [CHROMEDRIVER, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        browser = _connected(f"http://127.0.0.1:{port}", downloads)
        yield browser
        browser.close()
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()


def _connected(driver: str, downloads: Path) -> Browser:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return Browser(driver, downloads)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "chromedriver did not start"
            time.sleep(0.05)
