import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executors.source import MAX_CHARACTERS, MAX_ESCAPES, SourcePolicy, read_source
from superres.errors import BadImage, SuperresError, TooLarge
from tests.executors.source.servers import PICTURE, names, nobody, outcome, refusal, reply, serving


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://a.example/a.png",
        "gopher://127.0.0.1:70/",
        "javascript:alert(1)",
        "s3://bucket/a.png",
        "HTTPS+unix://x",
        "c:\\a.png",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE://localhost/etc/passwd",
        "/etc/passwd",
        "../x",
        "a.png",
        "",
        " http://a.example/",
        "🦊",
    ],
)
def test_other_schemes_and_local_paths_are_refused_with_what_is_allowed(uri: str) -> None:
    error = refusal(uri)
    assert error.code == "SCHEME"
    assert error.allowed == "data:, http: or https:"


def test_http_may_be_switched_off() -> None:
    for scheme in ("http", "https"):
        error = refusal(f"{scheme}://a.example/", SourcePolicy(http=False))
        assert (error.code, error.allowed) == ("SCHEME", "data:")
    assert read_source("data:,a", SourcePolicy(http=False)) == b"a"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("http://a.example/" + "a" * 10 * 2**20, "LENGTH"),
        ("http://" + "a." * 10 * 2**20, "LENGTH"),
        ("a" * 10 * 2**20, "LENGTH"),
        ("🦊" * 10 * 2**20, "LENGTH"),
        ("http://a.example/".ljust(MAX_CHARACTERS + 1, "a"), "LENGTH"),
        ("data:" + "a" * 10 * 2**20, "SYNTAX"),
        ("data:" + "a" * 2000 + ",", "SYNTAX"),
        ("data:," + "%41" * (MAX_ESCAPES + 1), "LENGTH"),
        ("http://a.example/\x00", "SYNTAX"),
        ("\x00", "SYNTAX"),
        ("/a\x00.png", "SYNTAX"),
        ("http://a.example/\udc80", "SYNTAX"),
        ("http://a.example/\x85", "SYNTAX"),
        ("http://a.example/a b", "SYNTAX"),
        ("data:,\x85", "SYNTAX"),
        ("data:,\ud800", "SYNTAX"),
    ],
)
def test_monstrous_uris_are_refused_at_once(uri: str, code: str) -> None:
    started = time.monotonic()
    assert refusal(uri).code == code
    assert time.monotonic() - started < 1


def test_an_address_of_the_greatest_length_is_read() -> None:
    with serving(reply()) as server:
        assert read_source(server.url().ljust(MAX_CHARACTERS, "a"), server.guards) == PICTURE


@given(st.text(max_size=40), st.sampled_from(["", "http://", "data:", "data:;base64,", "file:"]))
def test_any_text_is_read_or_refused(text: str, start: str) -> None:
    answer = outcome(start + text, SourcePolicy(), names())
    if isinstance(answer, SuperresError):
        assert answer.option == "uri"
    else:
        assert answer
        assert (start + text).lower().startswith("data:")


# data:

WORDS = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64,{WORDS}",
        f"data:;base64,{WORDS}",
        f"data:text/plain;charset=utf-8;base64,{WORDS}",
        f"DATA:image/png; Base64 ,{WORDS}",
        f"data:image/png;base64,{WORDS.rstrip('=')}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(PICTURE).decode()}",
        f"data:image/png;base64,{base64.encodebytes(PICTURE).decode()}",
        f"data:image/png;base64, {WORDS[:8]}\r\n\t {WORDS[8:]} ",
        f"data:image/png;base64,{quote(WORDS)}",
        f"data:image/png,{quote(PICTURE)}",
        f"data:,{quote(PICTURE)}",
    ],
)
def test_data_uris_are_read_in_every_usual_form(uri: str) -> None:
    assert read_source(uri, SourcePolicy(), nobody) == PICTURE


@pytest.mark.parametrize(
    "payload", ["A", "AAAAA", "AA=A", "AAAA!", "=AAA", "AÄAA", "AAAA,AAAA", "AAA%00"]
)
def test_bad_base64_is_refused(payload: str) -> None:
    assert refusal(f"data:image/png;base64,{payload}").code == "SYNTAX"


@pytest.mark.parametrize("uri", ["data:,", "data:;base64,", "data:image/png;base64,=="])
def test_empty_data_is_no_image(uri: str) -> None:
    error = refusal(uri)
    assert isinstance(error, BadImage)
    assert error.code == "EMPTY"


@pytest.mark.parametrize(
    "uri", [f"data:;base64,{WORDS}", f"data:,{quote(PICTURE)}", "data:," + "a" * len(PICTURE)]
)
def test_data_is_read_up_to_the_limit_and_not_beyond(uri: str) -> None:
    size = len(PICTURE)
    assert len(read_source(uri, SourcePolicy(max_bytes=size))) == size
    error = refusal(uri, SourcePolicy(max_bytes=size - 1))
    assert isinstance(error, TooLarge)
    assert error.code == "BYTES"


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_any_bytes_travel_through_a_data_uri(data: bytes, words: bool) -> None:
    text = ";base64," + base64.b64encode(data).decode() if words else "," + quote(data)
    assert read_source(f"data:image/png{text}", SourcePolicy()) == data
