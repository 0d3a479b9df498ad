"""What a uri may reach, and what comes back from there."""

import socket
import threading
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from executors.source import SourcePolicy, is_public, read_source
from superres.errors import BadSource
from tests.executors.source.servers import (
    LOOPBACK,
    PICTURE,
    Server,
    names,
    redirect,
    refusal,
    reply,
    serving,
)

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
