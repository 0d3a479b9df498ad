"""What a server may answer to an image, and what is made of it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from superres.cli.client import Server
from superres.errors import BadOption, BadSetting, Refused, SuperresError, Unavailable


@dataclass
class Script:
    """A server's answers in turn, each (status, headers, body), and the requests it was sent."""

    url: str
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


PICTURE = (200, {"content-type": "image/png"}, b"larger")


def error(status: int, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"} | headers, json.dumps(body).encode()


@pytest.fixture(scope="module")
def running() -> Iterator[Script]:
    class Scripted(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            script.requests.append((self.path, dict(self.headers), body))
            status, headers, content = script.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    script = Script(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def script(running: Script) -> Script:
    running.answers.clear()
    running.requests.clear()
    return running


def test_the_bytes_go_out_and_come_back_with_the_options_in_the_address(script: Script) -> None:
    script.answers.append(PICTURE)
    options = {"scale": "iw*2:-1", "image_format": "png", "quality": 0, "model": None}
    assert Server(f"{script.url}/", key="secret").upscale(b"small", options) == b"larger"
    path, headers, body = script.requests[0]
    assert urlsplit(path).path == "/upscale"
    assert parse_qs(urlsplit(path).query) == {
        "scale": ["iw*2:-1"],
        "image_format": ["png"],
        "quality": ["0"],
    }
    assert body == b"small"
    assert headers["Authorization"] == "secret"
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(422, {"code": "SCALE_SYNTAX", "message": "scale: wrong"}), Refused, "scale: wrong"),
        (error(413, {"message": "too large", "allowed": None}), Refused, "too large"),
        (error(401, {"code": "KEY", "message": "a valid API key"}), BadSetting, "a valid API key"),
        (error(404, {"detail": "Not Found"}), BadSetting, "status 404"),
        (error(415, {"message": "expected JSON"}), BadSetting, "expected JSON"),
        (error(500, {"message": "the server failed"}), Unavailable, "the server failed"),
        (error(504, [1]), Unavailable, "status 504"),
        ((502, {}, b"<html>Bad Gateway</html>"), Unavailable, "status 502"),
        ((302, {"location": "https://elsewhere/"}, b""), BadSetting, 'redirects to "https://else'),
        ((200, {"content-type": "text/html"}, b"<html>"), BadSetting, "answered text/html"),
    ],
)
def test_an_error_carries_what_the_server_said(
    script: Script, answer: tuple[int, dict[str, str], bytes], kind: type[SuperresError], words: str
) -> None:
    script.answers.append(answer)
    with pytest.raises(kind, match=words) as caught:
        Server(script.url).upscale(b"small", {})
    assert type(caught.value) is kind
    assert len(script.requests) == 1


def test_code_option_and_what_is_allowed_travel_along(script: Script) -> None:
    body = {"code": "MODEL", "message": "model: no", "option": "model", "allowed": "x", "more": 1}
    script.answers.append(error(422, body))
    with pytest.raises(Refused) as caught:
        Server(script.url).upscale(b"small", {})
    assert (caught.value.code, caught.value.option, caught.value.allowed) == ("MODEL", "model", "x")


def test_a_busy_server_is_asked_again(script: Script) -> None:
    busy = error(429, {"message": "overloaded"}, **{"Retry-After": "0"})
    script.answers.extend([busy, busy, PICTURE])
    assert Server(script.url).upscale(b"small", {}) == b"larger"
    script.answers.extend([busy] * 5)
    with pytest.raises(Unavailable, match="overloaded"):
        Server(script.url).upscale(b"small", {})
    assert len(script.requests) == 8


def test_nobody_there_is_a_setting() -> None:
    with pytest.raises(BadSetting, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        Server("http://127.0.0.1:1").upscale(b"small", {})


def test_no_proxy_stands_before_this_machine(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    script.answers.append(PICTURE)
    assert Server(script.url).upscale(b"small", {}) == b"larger"


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:51001", "grpc://a", "file:///etc", "http://", "http://a?b", "http://a#b"),
        *("http://[", "http://a:port", "http://a:0", "http://user@a", "http://a b"),
    ],
)
def test_an_address_must_be_one_of_http(url: str) -> None:
    with pytest.raises(BadOption, match="http://localhost:51001"):
        Server(url)


def test_a_key_that_no_header_can_carry_is_refused_unseen() -> None:
    with pytest.raises(BadOption, match="--key") as caught:
        Server("http://localhost:51001", key="schlüssel")
    assert "schl" not in str(caught.value)
