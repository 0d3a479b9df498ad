"""Nothing that a client sends makes the service visit an address of its own network.

The Flow allows the canary's port and one other address of loopback, where redirects come from; so
it is the address that refuses, and an image that is fetched shows that fetching works.
"""

import json
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.conformance.canary import Canary, Redirector
from tests.conformance.cases import asked
from tests.conformance.wires import Question, Wires
from tests.gateway.service import wait_for
from tests.inputs import STATUS

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("unvisited")]

HOSTS = [
    *["127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.0.0.53", "127.255.255.254"],
    *["2130706433", "0x7f000001", "0x7f.1", "0x7F.0.0.0x1", "017700000001", "0177.0.0.1"],
    *["127.000.000.001", "0", "0.0.0.0", "00.0.0.0", "4294967296", "127.0.0.1%00", "127.0.0.1%20"],
    *["localhost", "LOCALHOST", "localhost.", "localhost%2e", "ip6-localhost"],
    *["[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]"],
    *["[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[::1%25lo]", "[fe80::1]"],
    *["user@127.0.0.1", "user:word@127.0.0.1", "example.org@127.0.0.1", "@127.0.0.1"],
    *["127.0.0.1#@example.org", "127.0.0.1\\@example.org", "127.0.0.1&@example.org"],
    *["１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "ⓛocalhost", "127.0.0.1\t"],
]
SPELLINGS = [
    *["http://{host}:{port}/a.png", "https://{host}:{port}/"],
    *[
        "HTTP://{host}:{port}",
        "http:\\\\{host}:{port}/",
        "http:/{host}:{port}/",
        "//{host}:{port}/",
    ],
]
SCHEMES = ["ftp", "gopher", "ws", "dict", "file", "jar:http", "url:http", "view-source:http", "git"]


def addresses(port: int) -> Iterator[str]:
    """The canary's address in every spelling."""
    for host in HOSTS:
        yield SPELLINGS[0].format(host=host, port=port)
    for spelling in SPELLINGS[1:]:
        yield spelling.format(host="127.0.0.1", port=port)
    for scheme in SCHEMES:
        yield f"{scheme}://127.0.0.1:{port}/"
    yield f" http://127.0.0.1:{port}/"
    yield f"http://127.0.0.1:{port}/\r\nHost: example.org"


@pytest.fixture
def unvisited(canary: Canary) -> Iterator[None]:
    """After the test nobody has come; then the canary shows that it would have noticed."""
    canary.visits.clear()
    yield
    assert not canary.visits
    for address in ("127.0.0.1", "::1") if socket.has_ipv6 else ("127.0.0.1",):
        before = len(canary.visits)
        socket.create_connection((address, canary.port)).close()
        wait_for(lambda seen=before: len(canary.visits) > seen)  # type: ignore[misc]


@pytest.mark.parametrize("wire", ["grpc", "binary", "http", "text"])
def test_no_spelling_of_its_address_reaches_the_canary(
    wires: Wires, canary: Canary, wire: str
) -> None:
    spelled = list(addresses(canary.port))
    assert len(set(spelled)) > 50
    for address in spelled:
        for fields in ({"uri": address}, {"blob": address.encode()}):
            refused(wires, wire, asked(fields))


def refused(wires: Wires, wire: str, question: Question) -> None:
    problem = wires.ways[wire](question).problem
    assert problem is not None and problem["status"] == 422, question
    assert "127.0.0.1" in str(question) or "127.0.0.1" not in problem["message"]


def test_a_url_in_place_of_base64_is_guarded_too(wires: Wires, canary: Canary) -> None:
    for address in addresses(canary.port):
        document = {"blob": address, "id": "d"}
        text = json.dumps({"data": [document], "exec_endpoint": "/upscale"})
        for answer in (wires.posted(text.encode()), wires.told(text)):
            assert answer.problem is not None
            assert answer.problem["status"] == STATUS.get(answer.problem["code"], 422)


def test_with_a_picture_the_uri_is_not_visited(wires: Wires, canary: Canary) -> None:
    question = asked({"blob": b"no image", "uri": f"http://127.0.0.1:{canary.port}/"})
    for ask in wires.ways.values():
        answer = ask(question)
        assert answer.problem is not None and answer.problem["option"] != "uri"


def test_files_that_name_an_address_do_not_lead_there(wires: Wires, canary: Canary) -> None:
    url = f"http://127.0.0.1:{canary.port}/x"
    files = [
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "{url}">]><svg>&b;</svg>',
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({url}) (r) file\n",
        f"#EXTM3U\n#EXTINF:1,\n{url}\n",
        f"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 '{url}'\n",
    ]
    for text in files:
        for ask in wires.ways.values():
            answer = ask(asked({"blob": text.encode()}))
            assert answer.problem is not None and answer.problem["status"] == 422


def test_an_allowed_address_is_fetched(wires: Wires, redirector: Redirector) -> None:
    for ask in wires.ways.values():
        for path in ("/picture", "/hops/3"):
            (document,) = ask(asked({"uri": redirector.url(path)})).documents
            assert document["blob"] and not document["uri"]


def test_a_redirect_does_not_lead_to_the_canary(
    wires: Wires, redirector: Redirector, canary: Canary
) -> None:
    targets = [*addresses(canary.port), "http://10.0.0.1/", "file:///etc/passwd", "/loop/"]
    for target in targets:
        path = f"/to/{quote(target, safe='')}"
        told = wires.grpc(asked({"uri": redirector.url(path)})).problem
        assert told is not None and told["status"] == 422, target


@pytest.mark.parametrize("wire", ["grpc", "binary", "http", "text"])
@pytest.mark.parametrize(
    ("path", "code"),
    [("/hops/4", "REDIRECTS"), ("/loop/", "REDIRECTS"), ("/to/http%3A%2F%2F10.0.0.1", "ADDRESS")],
)
def test_redirects_are_few_and_checked(
    wires: Wires, redirector: Redirector, wire: str, path: str, code: str
) -> None:
    told = wires.ways[wire](asked({"uri": redirector.url(path)})).problem
    assert told is not None and told["code"] == code
    assert "10.0.0.1" not in told["message"].replace(path, "")


@pytest.mark.parametrize("wire", ["grpc", "binary", "http", "text"])
@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/status/404", {"SOURCE_STATUS"}),
        ("/status/500", {"SOURCE_STATUS"}),
        ("/page/", {"FORMAT", "UNDECODABLE"}),
        ("/endless/", {"BYTES"}),
        ("/length/1", {"UNDECODABLE", "TRUNCATED"}),
        ("/length/1000000000000", {"BYTES"}),
        ("/drip/", {"SOURCE_TIMEOUT"}),
        ("/bomb/", {"BYTES"}),
    ],
)
def test_what_a_source_answers_is_bounded_and_named(
    wires: Wires, redirector: Redirector, wire: str, path: str, codes: set[str]
) -> None:
    told = wires.ways[wire](asked({"uri": redirector.url(path)})).problem
    assert told is not None and told["code"] in codes, told
