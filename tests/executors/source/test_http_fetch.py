import gzip
import socket
import time
import tracemalloc
import zlib
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors.source import MAX_CHARACTERS, SourcePolicy, read_source
from superres.errors import SuperresError, TooLarge
from tests.executors.source.servers import (
    LOOPBACK,
    PICTURE,
    Script,
    Server,
    nobody,
    outcome,
    redirect,
    refusal,
    reply,
    serving,
)


def test_a_request_asks_for_plain_bytes_of_the_path_as_given() -> None:
    with serving(reply()) as server:
        assert read_source(server.url("/ä/b%20c.png?x=1&y=[2]#part"), server.guards) == PICTURE
        first, *lines = server.requests[0].strip().split("\r\n")
        assert first == "GET /%C3%A4/b%20c.png?x=1&y=[2] HTTP/1.1"
        assert lines[0] == f"Host: 127.0.0.1:{server.port}"
        assert "Accept-Encoding: identity" in lines
        assert "Connection: close" in lines


def test_proxies_of_the_environment_are_not_used(
    canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = canary.contacts
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    with serving(reply()) as server:
        assert read_source(server.url(), server.guards) == PICTURE
    assert canary.contacts == before


def chunked(connection: socket.socket, _path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(PICTURE), 500):
        piece = PICTURE[start : start + 500]
        connection.sendall(b"%x;a=b\r\n%s\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\nTrailer: x\r\n\r\n")


@pytest.mark.parametrize(
    "script",
    [
        reply(length=None),
        chunked,
        reply(Content_Encoding="identity"),
        reply(gzip.compress(PICTURE), Content_Encoding="gzip"),
        reply(gzip.compress(PICTURE), Content_Encoding="X-Gzip"),
        reply(zlib.compress(PICTURE), Content_Encoding="deflate"),
        reply(Content_Type="text/html"),
        reply(length=len(PICTURE), X_Long="x" * 60_000),
    ],
    ids=["no length", "chunked", "identity", "gzip", "x-gzip", "deflate", "html", "long header"],
)
def test_every_ordinary_answer_is_read_up_to_the_limit_and_not_beyond(script: Script) -> None:
    with serving(script) as server:
        guards = replace(server.guards, max_bytes=len(PICTURE))
        assert read_source(server.url(), guards) == PICTURE
        guards = replace(server.guards, max_bytes=len(PICTURE) - 1)
        error = refusal(server.url(), guards)
        assert isinstance(error, TooLarge)
        assert error.code == "BYTES"


def endless(connection: socket.socket, _path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(2**16))


def endless_chunks(connection: socket.socket, _path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
    while True:
        connection.sendall(bytes(2**16))


BOMB = gzip.compress(bytes(50 * 2**20))


@pytest.mark.parametrize(
    "script",
    [
        endless,
        endless_chunks,
        reply(length=2**40),
        reply(BOMB, Content_Encoding="gzip"),
        reply(gzip.compress(BOMB), Content_Encoding="gzip"),
    ],
    ids=["endless", "endless chunks", "announces 1 TB", "gzip bomb", "gzip bomb in gzip"],
)
def test_an_answer_beyond_the_limit_is_too_large_before_it_is_held(script: Script) -> None:
    with serving(script) as server:
        guards = replace(server.guards, max_bytes=40_000)
        error = refusal(server.url(), guards)
        assert isinstance(error, TooLarge)
        assert error.code == "BYTES"
        assert "40000" in str(error)


def test_a_bomb_is_never_unpacked_beyond_the_limit() -> None:
    with serving(reply(BOMB, Content_Encoding="gzip")) as server:
        tracemalloc.start()
        try:
            refusal(server.url(), replace(server.guards, max_bytes=2**20))
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


def test_an_answer_longer_than_announced_is_what_was_announced() -> None:
    with serving(reply(length=1)) as server:
        assert read_source(server.url(), server.guards) == PICTURE[:1]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (reply(length=len(PICTURE) + 1), "SOURCE_UNREACHABLE"),
        (reply(b"x", status="200", Content_Encoding="br"), "SOURCE_ENCODING"),
        (reply(b"x", Content_Encoding="gzip, gzip"), "SOURCE_ENCODING"),
        (reply(gzip.compress(PICTURE)[:-9], Content_Encoding="gzip"), "SOURCE_ENCODING"),
        (reply(gzip.compress(PICTURE) * 2, Content_Encoding="gzip"), "SOURCE_ENCODING"),
        (reply(PICTURE, Content_Encoding="gzip"), "SOURCE_UNREACHABLE"),
        (reply(b""), "EMPTY"),
        (reply(b"", length=None), "EMPTY"),
        (lambda connection, _path: None, "SOURCE_UNREACHABLE"),
        (lambda connection, _path: connection.sendall(b"SSH-2.0\r\n"), "SOURCE_UNREACHABLE"),
        (lambda connection, _path: connection.sendall(b"x" * 10**5), "SOURCE_UNREACHABLE"),
        (reply(X="x\r\nX: x" * 200), "SOURCE_UNREACHABLE"),
        (reply(X="x" * 70_000), "SOURCE_UNREACHABLE"),
        (redirect(""), "REDIRECTS"),
        (redirect("http://[::1"), "REDIRECTS"),
    ],
)
def test_broken_answers_are_refused(script: Script, code: str) -> None:
    with serving(script) as server:
        assert refusal(server.url(), server.guards).code == code


@pytest.mark.parametrize(
    "status", ["404 Not Found", "500 Oh", "206 Part", "204 None", "304 Same", "401 Who", "300 All"]
)
def test_another_status_than_200_is_named(status: str) -> None:
    with serving(reply(b"", status)) as server:
        error = refusal(server.url(), server.guards)
        assert error.code == "SOURCE_STATUS"
        assert f"answered {status[:3]};" in str(error)


def test_nobody_listening_is_unreachable() -> None:
    with serving(reply()) as server:
        uri, guards = server.url(), server.guards
    assert refusal(uri, guards).code == "SOURCE_UNREACHABLE"


@settings(max_examples=30)
@given(st.binary(max_size=60), st.sampled_from(["", "HTTP/1.1 200 OK\r\n"]))
def test_whatever_a_server_sends_ends_in_bytes_or_in_an_error_of_ours(
    noise: bytes, head: str
) -> None:
    with serving(lambda link, _path: link.sendall(head.encode() + noise)) as server:
        answer = outcome(server.url(), server.guards, nobody)
    assert answer.option == "uri" if isinstance(answer, SuperresError) else answer


def drip(text: bytes) -> Script:
    def script(connection: socket.socket, _path: str) -> None:
        for octet in text * 100:
            connection.sendall(bytes([octet]))
            time.sleep(0.05)

    return script


def slow_body(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    drip(b"x")(connection, path)


def slow_chunks(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(b"1\r\nx\r\n")(connection, path)


def slow_redirects(connection: socket.socket, path: str) -> None:
    time.sleep(0.3)
    redirect("/again")(connection, path)


def endless_continues(connection: socket.socket, _path: str) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


@pytest.mark.parametrize(
    "script",
    [
        lambda connection, _path: time.sleep(1),
        drip(b"HTTP/1.1 200 OK\r\n"),
        slow_body,
        slow_chunks,
        slow_redirects,
        endless_continues,
    ],
    ids=["silence", "slow head", "slow body", "slow chunks", "slow redirects", "continues"],
)
def test_the_deadline_holds_however_the_time_is_wasted(script: Script) -> None:
    with serving(script) as server:
        started = time.monotonic()
        error = refusal(server.url(), replace(server.guards, seconds=0.5))
        assert error.code == "SOURCE_TIMEOUT"
        assert 0.4 < time.monotonic() - started < 2


def test_a_connection_that_is_never_accepted_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):  # beyond its backlog a listening socket drops what arrives
            waiting.enter_context(filler := socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        guards = SourcePolicy(ports=(port,), private_networks=LOOPBACK, seconds=0.3)
        started = time.monotonic()
        assert refusal(f"http://127.0.0.1:{port}/", guards).code == "SOURCE_TIMEOUT"
        assert time.monotonic() - started < 2


def chain(length: int) -> Script:
    """`length` redirects, then the image; the path counts."""

    def script(connection: socket.socket, path: str) -> None:
        step = int(path.strip("/") or 0)
        answer = redirect(f"/{step + 1}") if step < length else reply()
        answer(connection, path)

    return script


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    with serving(chain(3)) as server:
        assert read_source(server.url("/"), server.guards) == PICTURE
        assert server.contacts == 4
    with serving(chain(4)) as server:
        assert refusal(server.url("/"), server.guards).code == "REDIRECTS"
        assert server.contacts == 4


def test_a_loop_ends_and_no_redirects_may_be_allowed() -> None:
    with serving(redirect("")) as nowhere, serving(redirect("?")) as loop:
        assert refusal(nowhere.url(), nowhere.guards).code == "REDIRECTS"
        error = refusal(loop.url(), loop.guards)
        assert (error.code, error.allowed) == ("REDIRECTS", "at most 3")
        guards = replace(loop.guards, redirects=0)
        assert refusal(loop.url(), guards).allowed == "at most 0"


def test_a_redirect_to_an_endless_address_is_not_followed() -> None:
    with serving(redirect("x" * (MAX_CHARACTERS + 1))) as server:
        assert refusal(server.url(), server.guards).code == "REDIRECTS"
        assert server.contacts == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
@pytest.mark.parametrize("location", ["b.png", "//127.0.0.1:{port}/b.png", "ü b.png"])
def test_redirects_of_every_kind_are_followed(status: str, location: str) -> None:
    with serving(reply()) as last:
        raw = location.format(port=last.port).encode().decode("latin-1")

        def script(connection: socket.socket, path: str) -> None:
            answer = redirect(raw, status) if path == "/a.png" else reply()
            answer(connection, path)

        with serving(script) as first:
            guards = replace(first.guards, ports=(first.port, last.port))
            assert read_source(first.url(), guards) == PICTURE
    assert len(first.requests + last.requests) == 2


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", "SCHEME"),
        ("data:,abc", "SCHEME"),
        ("ftp://a.example/", "SCHEME"),
        ("gopher://127.0.0.1:{canary}/", "SCHEME"),
        ("http://10.0.0.1:{port}/", "ADDRESS"),
        ("http://169.254.169.254:{port}/latest/meta-data/", "ADDRESS"),
        ("//[::1]:{port}/", "ADDRESS"),
        ("http://2130706433:{port}/", "ADDRESS"),
        ("http://127.0.0.1:{canary}/", "ADDRESS"),
        ("http://127.0.0.1:22/", "ADDRESS"),
        ("http://user@127.0.0.1:{port}/", "SYNTAX"),
        ("http://127.0.0.1\\@a.example:{port}/", "SYNTAX"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(
    canary: Server, location: str, code: str
) -> None:
    before = canary.contacts

    def script(connection: socket.socket, path: str) -> None:
        redirect(location.format(port=server.port, canary=canary.port))(connection, path)

    with serving(script) as server:
        error = refusal(server.url(), server.guards)
        assert error.code == code
        assert server.url() in str(error)
        assert server.contacts == 1
    assert canary.contacts == before
