"""What a uri may reach, and what comes back from there."""

import base64
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors.source import (
    MAX_CHARACTERS,
    MAX_ESCAPES,
    SourcePolicy,
    enter_folder,
    is_public,
    read_source,
)
from superres.errors import BadImage, BadSetting, BadSource, SuperresError, TooLarge

PICTURE = bytes(range(256)) * 8
LOOPBACK = ("127.0.0.1/32",)

Script = Callable[[socket.socket, str], None]


def reply(
    body: bytes = PICTURE, status: str = "200 OK", length: int | None = -1, **headers: str
) -> Script:
    """A script that sends one answer; `length` -1 is the true one, None leaves it out."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return lambda connection, _path: connection.sendall(head + body)


def redirect(location: str, status: str = "302 Found") -> Script:
    return reply(b"", status, Location=location)


@dataclass
class Server:
    """A listening socket that plays `script` to each connection and counts them."""

    script: Script
    listener: socket.socket
    context: ssl.SSLContext | None = None
    requests: list[str] = field(default_factory=list)
    contacts: int = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def guards(self) -> SourcePolicy:
        return SourcePolicy(ports=(self.port,), private_networks=LOOPBACK, seconds=5)

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.contacts += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError), closing(connection):
            connection.settimeout(5)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with closing(connection):
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                    head += piece
                self.requests.append(head.decode("latin-1"))
                self.script(connection, self.requests[-1].split(" ")[1])
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)


@contextmanager
def serving(
    script: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Server]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    server = Server(script, listener, context)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def names(**addresses: list[str]) -> Callable[[str], list[str]]:
    """A resolver that knows only `addresses`, dots written as double underscores."""
    table = {name.replace("__", "."): found for name, found in addresses.items()}

    def resolve(host: str) -> list[str]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return table[host]

    return resolve


def nobody(host: str) -> list[str]:
    raise AssertionError(f"{host} must not be looked up")


def refusal(
    uri: str,
    guards: SourcePolicy | None = None,
    resolve: Callable[[str], list[str]] = nobody,
) -> SuperresError:
    """The error of reading `uri`, with what every such error has checked."""
    with pytest.raises((BadSource, BadImage, TooLarge)) as caught:
        read_source(uri, guards or SourcePolicy(), resolve)
    assert caught.value.option == "uri"
    assert "expected" in str(caught.value)
    assert len(str(caught.value)) <= 300
    return caught.value


def outcome(
    uri: str, guards: SourcePolicy, resolve: Callable[[str], list[str]]
) -> bytes | SuperresError:
    """The bytes or the error of reading `uri`; any other exception passes."""
    try:
        return read_source(uri, guards, resolve)
    except SuperresError as error:
        return error


# Addresses

RANGES = [  # first, last, and whether the addresses before and behind are public
    ("0.0.0.0", "0.255.255.255", None, True),
    ("10.0.0.0", "10.255.255.255", True, True),
    ("100.64.0.0", "100.127.255.255", True, True),
    ("127.0.0.0", "127.255.255.255", True, True),
    ("168.63.129.16", "168.63.129.16", True, True),
    ("169.254.0.0", "169.254.255.255", True, True),
    ("172.16.0.0", "172.31.255.255", True, True),
    ("192.0.0.0", "192.0.0.255", True, True),
    ("192.0.2.0", "192.0.2.255", True, True),
    ("192.88.99.0", "192.88.99.255", True, True),
    ("192.168.0.0", "192.168.255.255", True, True),
    ("198.18.0.0", "198.19.255.255", True, True),
    ("198.51.100.0", "198.51.100.255", True, True),
    ("203.0.113.0", "203.0.113.255", True, True),
    ("224.0.0.0", "239.255.255.255", True, False),
    ("240.0.0.0", "255.255.255.255", False, None),
    ("::", "::", None, False),
    ("::1", "::1", False, False),
    ("::7f00:1", "::ffff", False, False),  # IPv4-compatible
    ("64:ff9b::", "64:ff9b::ffff:ffff", False, False),  # NAT64
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", False, False),
    ("100::", "100::ffff:ffff:ffff:ffff", False, False),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", True, False),  # Teredo
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", True, True),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", True, True),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True, True),  # 6to4
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", True, True),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False, False),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False, False),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False, False),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False, None),
]


@pytest.mark.parametrize(("first", "last", "before", "behind"), RANGES)
def test_special_ranges_are_refused_up_to_their_boundaries(
    first: str, last: str, before: bool | None, behind: bool | None
) -> None:
    low, high = ip_address(first), ip_address(last)
    middle = low + (int(high) - int(low)) // 2
    assert [is_public(low), is_public(middle), is_public(high)] == [False, False, False]
    if before is not None:
        assert is_public(low - 1) is before
    if behind is not None:
        assert is_public(high + 1) is behind


@pytest.mark.parametrize("first", [row[0] for row in RANGES if "." in row[0]])
def test_mapped_addresses_are_judged_as_the_address_inside(first: str) -> None:
    assert not is_public(ip_address(f"::ffff:{first}"))
    assert is_public(ip_address("::ffff:8.8.8.8"))


def test_isatap_addresses_are_refused_in_every_network() -> None:
    for inside in ("2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1"):
        assert not is_public(ip_address(inside))
    for outside in ("2a00:1450::5eff:7f00:1", "2a00:1450::400:5efe:a00:1"):
        assert is_public(ip_address(outside))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


# Spellings of private addresses, against a server that must stay alone

SPELLINGS = """
    127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7f.1 0X7F.0.0.1 0x7f.0x1
    0177.0.0.1 127.0.0.01 127.000.000.001 0 0. 0.0.0.0 0x 1.2.3.4.5 256.256.256.256 127.255.255.254
    10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.100.100.200 168.63.129.16 255.255.255.255
    [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::127.0.0.1]
    [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::1]
    [2001:0:4136:e378:8000:63bf:80ff:fffe] [fe80::1] [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1]
    [2a00:1450::5efe:127.0.0.1] [2a00:1450::200:5efe:7f00:1]
    １２７.０.０.１ ①②⑦.⓪.⓪.① 127。0。0。1 ⑩.0.0.1
"""


@pytest.fixture(scope="module")
def canary() -> Iterator[Server]:
    with serving(reply()) as server:
        yield server


@pytest.fixture
def strict(canary: Server) -> SourcePolicy:
    """The default guards, but for the port: the canary would be reached if addresses allowed it."""
    return SourcePolicy(ports=(canary.port,), seconds=5)


@pytest.mark.parametrize("host", SPELLINGS.split())
def test_no_spelling_of_a_private_address_is_contacted(
    canary: Server, strict: SourcePolicy, host: str
) -> None:
    before = canary.contacts
    assert refusal(f"http://{host}:{canary.port}/", strict).code == "ADDRESS"
    assert canary.contacts == before


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "ｌｏｃａｌｈｏｓｔ"])
def test_names_that_the_system_knows_as_private_are_refused(
    canary: Server, strict: SourcePolicy, host: str
) -> None:
    with pytest.raises(BadSource) as caught:
        read_source(f"http://{host}:{canary.port}/", strict)
    assert caught.value.code == "ADDRESS"
    assert canary.contacts == 0


@pytest.mark.parametrize(
    "rest",
    [
        "user@127.0.0.1:{port}/",
        "user:secret@127.0.0.1:{port}/",
        "@127.0.0.1:{port}/",
        "public#@127.0.0.1:{port}/",
        "public?@127.0.0.1:{port}/",
        "public\\@127.0.0.1:{port}/",
        "public:80@127.0.0.1:{port}/",
        "127.0.0.1\\.public:{port}/",
        "127.0.0.1:{port}\\/",
        "127.0.0.1:{port} /",
        "127.0.0.1\t:{port}/",
        "127.0.0.1:{port}\r\nHost: x/",
        "127.0.0.1\x00.public:{port}/",
        "127.0.0.1%00.public:{port}/",
        "%31%32%37.0.0.1:{port}/",
        "[::1%25lo]:{port}/",
        "[127.0.0.1]:{port}/",
        "[::1:{port}/",
        "::1:{port}/",
        "127.0.0.1:{port}:80/",
        "127.0.0.1:/",
        "127.0.0.1:８０/",
        "127..0.1:{port}/",
        ".127.0.0.1:{port}/",
        "-a.example/",
        "🦊.example/",
        "\ud800/",
        "/127.0.0.1:{port}/",
        "",
        "/",
        ":{port}/",
    ],
)
def test_addresses_that_parsers_disagree_on_are_refused(
    canary: Server, strict: SourcePolicy, rest: str
) -> None:
    guards = replace(strict, ports=(80, canary.port), private_networks=LOOPBACK)
    assert refusal("http://" + rest.format(port=canary.port), guards).code == "SYNTAX"
    assert canary.contacts == 0


def test_the_canary_is_reached_where_the_operator_opens_its_network(canary: Server) -> None:
    with serving(reply()) as server:
        assert read_source(server.url(), server.guards) == PICTURE
        assert read_source(server.url(host="[::ffff:127.0.0.1]"), server.guards) == PICTURE
        assert read_source(server.url().replace("http", "HTTP"), server.guards) == PICTURE
        assert server.contacts == 3


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "::1"], ["::ffff:10.0.0.1"]],
)
def test_one_private_address_of_a_name_refuses_it_without_being_named(
    strict: SourcePolicy, canary: Server, addresses: list[str]
) -> None:
    uri = f"http://pictures.example:{canary.port}/a.png"
    error = refusal(uri, strict, names(pictures__example=addresses))
    assert error.code == "ADDRESS"
    assert not any(address in str(error) for address in addresses)
    assert canary.contacts == 0


def test_a_name_is_looked_up_once_so_that_a_second_answer_cannot_differ() -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    with serving(reply()) as server:
        uri = server.url(host="Bücher.example")
        assert read_source(uri, server.guards, rebinding) == PICTURE
        assert f"Host: xn--bcher-kva.example:{server.port}\r\n" in server.requests[0]
    assert asked == ["xn--bcher-kva.example"]


def test_a_redirect_to_the_same_name_is_checked_with_its_new_address() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    with serving(redirect("/again")) as server:
        error = refusal(server.url(host="a.example"), server.guards, lambda _host: next(answers))
        assert error.code == "ADDRESS"
        assert server.contacts == 1


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with serving(reply()) as server:
        guards = replace(server.guards, private_networks=("127.0.0.0/8",))
        found = names(a__example=["127.0.0.2", "127.0.0.1"])
        assert read_source(server.url(host="a.example"), guards, found) == PICTURE


def test_an_ipv6_server_is_reached_by_its_address() -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    probe.close()
    with serving(reply(), host="::1") as server:
        guards = replace(server.guards, private_networks=("::1/128",), hosts=("::1",))
        assert read_source(server.url(host="[0:0::0:1]"), guards) == PICTURE
        assert f"Host: [::1]:{server.port}\r\n" in server.requests[0]


def test_hosts_and_ports_are_those_on_the_lists() -> None:
    loopback = names(a__example=["127.0.0.1"], b__a__example=["127.0.0.1"])
    with serving(reply()) as server:
        for hosts, host, allowed in [
            (("a.example",), "a.example", True),
            (("A.Example",), "a.EXAMPLE.", True),
            (("a.example",), "b.a.example", False),
            ((".a.example",), "b.a.example", True),
            ((".a.example",), "a.example", False),
            ((".a.example",), "ba.example", False),
            (("127.0.0.1",), "127.0.0.1", True),
        ]:
            guards = replace(server.guards, hosts=hosts)
            if allowed:
                assert read_source(server.url(host=host), guards, loopback) == PICTURE
            else:
                assert refusal(server.url(host=host), guards).code == "ADDRESS"
        closed = replace(server.guards, ports=(80, 443))
        error = refusal(server.url(), closed)
        assert error.code == "ADDRESS"
        assert error.allowed == "a port out of 80, 443"


def test_an_allowed_host_still_needs_a_public_address(strict: SourcePolicy) -> None:
    guards = replace(strict, hosts=("a.example",))
    uri = f"http://a.example:{strict.ports[0]}/"
    assert refusal(uri, guards, names(a__example=["10.0.0.1"])).code == "ADDRESS"


def test_an_unknown_name_and_a_name_without_addresses_are_unreachable() -> None:
    assert refusal("http://a.example/", None, names()).code == "SOURCE_UNREACHABLE"
    assert refusal("http://a.example/", None, names(a__example=[])).code == "SOURCE_UNREACHABLE"


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_deadline() -> None:
    over = threading.Event()

    def hanging(_host: str) -> list[str]:
        over.wait(5)
        return []

    started = time.monotonic()
    error = refusal("http://a.example/", SourcePolicy(seconds=0.2), hanging)
    over.set()
    assert error.code == "SOURCE_TIMEOUT"
    assert time.monotonic() - started < 2


# Answers of servers


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


# Time


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


# Redirects


def chain(length: int) -> Script:
    """`length` redirects, then the picture; the path counts."""

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


# TLS


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for pictures.example."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += " -subj /CN=pictures.example -addext subjectAltName=DNS:pictures.example"
    subprocess.run(
        [*command.split(), "-keyout", made.key, "-out", made.file], check=True, capture_output=True
    )
    return made


HERE = names(pictures__example=["127.0.0.1"], other__example=["127.0.0.1"])


def test_https_reads_and_names_the_host_to_the_server(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    asked: list[str | None] = []
    context = certificate.context()
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving(reply(), context) as server:
        url = server.url(host="pictures.example")
        assert read_source(url, server.guards, HERE) == PICTURE
        assert asked == ["pictures.example"]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_host_is_refused(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    with serving(reply(), certificate.context()) as server:
        error = refusal(server.url(host=host), server.guards, HERE)
        assert error.code == "SOURCE_UNREACHABLE"
        assert "certificate" in str(error)
        assert server.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    with serving(reply(), certificate.context()) as server:
        url = server.url(host="pictures.example")
        assert "certificate" in str(refusal(url, server.guards, HERE))


def test_a_handshake_that_stalls_ends_at_the_deadline() -> None:
    with serving(reply()) as server:
        started = time.monotonic()
        guards = replace(server.guards, seconds=0.3)
        error = refusal(server.url().replace("http:", "https:"), guards)
        assert error.code == "SOURCE_TIMEOUT"
        assert time.monotonic() - started < 2


def test_https_never_leads_back_to_http(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, canary: Server
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    before = canary.contacts
    with serving(redirect(canary.url()), certificate.context()) as server:
        guards = replace(server.guards, ports=(server.port, canary.port))
        error = refusal(server.url(host="pictures.example"), guards, HERE)
        assert error.code == "REDIRECTS"
    assert canary.contacts == before


# Other schemes and forms


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


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder with one of everything, and a secret beside it."""
    inside = tmp_path / "pictures"
    (inside / "deep" / "er").mkdir(parents=True)
    (tmp_path / "pictures-secret").mkdir()
    (inside / "a b.png").write_bytes(PICTURE)
    (inside / "deep" / "er" / "ü.png").write_bytes(PICTURE)
    (inside / "empty.png").touch()
    for secret in (tmp_path / "secret.png", tmp_path / "pictures-secret" / "a.png"):
        secret.write_bytes(b"secret")
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "out").symlink_to(tmp_path)
    (inside / "in.png").symlink_to("a b.png")
    (inside / "loop.png").symlink_to("loop.png")
    os.mkfifo(inside / "pipe.png")
    return inside


@pytest.mark.parametrize(
    "uri",
    [
        "{folder}/a b.png",
        "file://{folder}/a%20b.png",
        "file:{folder}/a b.png",
        "FILE://localhost{folder}/a%20b.png",
        "{folder}/deep/er/ü.png",
        "file://{folder}/deep/er/%C3%BC.png",
        "{folder}/deep/../a b.png",
        "{folder}//./a b.png",
        "{folder}/in.png",
    ],
)
def test_files_in_an_allowed_folder_are_read(folder: Path, uri: str) -> None:
    guards = SourcePolicy(folders=(folder / "missing", folder))
    assert read_source(uri.format(folder=folder), guards) == PICTURE


@pytest.mark.parametrize(
    "uri",
    [
        "{folder}/../secret.png",
        "file://{folder}/%2e%2e/secret.png",
        "{folder}/deep/../../secret.png",
        "{folder}-secret/a.png",
        "{folder}/out.png",
        "{folder}/out/secret.png",
        "{folder}/out/pictures/a b.png/..",
        "{folder}/loop.png",
        "{folder}/pipe.png",
        "{folder}/deep",
        "{folder}",
        "{folder}/",
        "{folder}/a b.png/x",
        "{folder}/missing.png",
        "{folder}/{long}",
        "file://{folder}/a%00.png",
        "file://other{folder}/a%20b.png",
        "file://{folder}/a%20b.png?x",
        "/{folder}/a b.png",
        "a b.png",
        "./a b.png",
        "file:a%20b.png",
        "file:",
        "/etc/passwd",
        "/proc/self/environ",
        "",
    ],
)
def test_anything_but_a_file_in_the_folder_is_refused(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    error = refusal(uri.format(folder=folder, long="x" * 300), SourcePolicy(folders=(folder,)))
    assert error.code == "LOCAL_PATH"


@pytest.mark.parametrize(("name", "flags"), [("out", os.O_DIRECTORY), ("in.png", 0)])
def test_a_step_into_what_became_a_link_after_the_check_fails(
    folder: Path, name: str, flags: int
) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError, match=name):
        enter_folder(opened, name, os.O_RDONLY | flags)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)


def test_the_allowed_folder_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    guards = SourcePolicy(folders=(tmp_path / "alias",))
    assert read_source(f"{tmp_path}/alias/a b.png", guards) == PICTURE
    assert refusal(f"{folder}/a b.png", guards).code == "LOCAL_PATH"


def test_files_are_limited_and_empty_ones_refused(folder: Path) -> None:
    guards = SourcePolicy(folders=(folder,), max_bytes=len(PICTURE))
    assert read_source(f"{folder}/a b.png", guards) == PICTURE
    assert refusal(f"{folder}/a b.png", replace(guards, max_bytes=100)).code == "BYTES"
    assert refusal(f"{folder}/empty.png", guards).code == "EMPTY"


def test_reading_leaves_no_descriptor_open(folder: Path) -> None:
    guards = SourcePolicy(folders=(folder,))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a b.png", "deep", "pipe.png", "out.png", "a b.png/x", "deep/er/ü.png"):
        with suppress(BadSource):
            read_source(f"{folder}/{name}", guards)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Settings


@pytest.mark.parametrize(
    ("setting", "build"),
    [
        ("private_networks", lambda: SourcePolicy(private_networks=("10.1.0.0/8",))),
        ("private_networks", lambda: SourcePolicy(private_networks=("localhost",))),
        ("folders", lambda: SourcePolicy(folders=(Path("pictures"),))),
        ("max_bytes", lambda: SourcePolicy(max_bytes=0)),
        ("seconds", lambda: SourcePolicy(seconds=0)),
        ("seconds", lambda: SourcePolicy(seconds=float("nan"))),
        ("redirects", lambda: SourcePolicy(redirects=-1)),
    ],
)
def test_senseless_settings_are_named_at_start(
    setting: str, build: Callable[[], SourcePolicy]
) -> None:
    with pytest.raises(BadSetting, match=rf"^{setting}.*expected"):
        build()
