"""The bytes behind a Document's `uri`: data:, guarded http(s), and folders the operator opened.

    read            one uri -> bytes, or an error that names what would do
    SourceGuards    what the operator allows
    public          whether an address belongs to the public internet

A name is resolved once, every address of the answer is checked, and the connection goes to one of
the checked addresses: a second answer of a hostile name server is never asked for. Redirects are
followed by hand, each with every check again. Proxies of the environment are not used.
"""

import base64
import binascii
import io
import os
import re
import socket
import ssl
import stat
import string
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin

import idna

from superres.errors import BadImage, BadSetting, BadSource, TooLarge, shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], list[str]]

MAX_CHARACTERS = 2048  # of a uri that is not data:
MAX_MEDIA_TYPE = 1024  # characters between "data:" and the comma
MAX_ESCAPES = 2**20  # "%41" costs about 1 µs each: more of them are a burden, not a picture
MAX_CANDIDATES = 4  # addresses of one name that are tried
CONNECT_SECONDS = 3.0
PIECE = 2**16
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
URL = re.compile(r"(https?)://([^/?#\\]+)(?:(/[^#]*)(?:#.*)?)?", re.ASCII | re.IGNORECASE)
FILE = re.compile(r"\Afile:(?://(?:localhost)?)?/", re.ASCII | re.IGNORECASE)
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^@:\[\]]{1,255})(?::([0-9]{1,5}))?")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")
# What inet_aton reads as an address: the last label is a number (the rule of the URL standard).
NUMBER = re.compile(r"(?:[^:]*\.)?(?:[0-9]+|0x[0-9a-f]*)")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
BASE64 = bytes.maketrans(b"-_", b"+/")

# Not public, by the IANA registries of special-purpose addresses; `is_global` is asked as well,
# but its table differs between Python releases.
SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by number, but Azure's host agent
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
# Outside of it lie loopback, IPv4-compatible, NAT64, unique local, link-local and multicast.
GLOBAL_UNICAST = IPv6Network("2000::/3")
ISATAP = 0x5EFE  # bits 32..63 of an address that ends in an IPv4 address, but for bit 57


@dataclass(frozen=True)
class SourceGuards:
    """What a uri may reach. Raises BadSetting, naming the setting, where it makes no sense.

    `hosts`: names, exact or as ".example.org" for all below it; empty is every host. An allowed
    host still needs a public address, unless it lies in `private_networks` (such as "10.1.0.0/16").
    `folders`: absolute; empty refuses local paths. `seconds` bound a whole fetch.
    """

    http: bool = True
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    private_networks: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    max_bytes: int = 64 * 2**20
    seconds: float = 10.0
    redirects: int = 3

    def __post_init__(self) -> None:
        self.networks()
        for folder in self.folders:
            if not folder.is_absolute():
                raise BadSetting(f"folders {shown(str(folder))}: expected an absolute path")
        for name, least in (("max_bytes", 1), ("seconds", 0.001), ("redirects", 0)):
            if not getattr(self, name) >= least:
                raise BadSetting(f"{name} {getattr(self, name)}: expected at least {least}")

    def networks(self) -> list[IPv4Network | IPv6Network]:
        """`private_networks`, parsed."""
        try:
            return [ip_network(network) for network in self.private_networks]
        except ValueError as error:
            raise BadSetting(
                f'private_networks: {error}; expected networks such as "10.1.0.0/16"'
            ) from error

    def allow(self, address: Address) -> bool:
        """Whether a connection to `address` may be made."""
        return public(address) or any(address in network for network in self.networks())

    def allow_host(self, host: str) -> bool:
        """Whether the operator's list has `host`, or there is no list."""
        names = [name.lower() for name in self.hosts]
        return not names or any(
            host.endswith(name) if name.startswith(".") else host == name for name in names
        )

    def expected(self) -> str:
        """The kinds of uri that may be read, for messages."""
        kinds = ["data:"]
        kinds += ["http:", "https:"] if self.http else []
        kinds += ["a path in an allowed folder"] if self.folders else []
        return ", ".join(kinds[:-1]) + " or " + kinds[-1] if len(kinds) > 1 else kinds[0]


class Url(NamedTuple):
    """A checked http(s) address: `host` is an ASCII name or an address without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def resolved(host: str) -> list[str]:
    """The addresses of `host` as the system knows them. Raises OSError where there are none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def read(uri: str, guards: SourceGuards, resolve: Resolver = resolved) -> bytes:
    """The bytes behind `uri`, at least one and at most `guards.max_bytes`.

    Raises BadSource (SCHEME, SYNTAX, LENGTH, ADDRESS, REDIRECTS, SOURCE_STATUS, SOURCE_TIMEOUT,
    SOURCE_UNREACHABLE, SOURCE_ENCODING, LOCAL_PATH), TooLarge (BYTES) or BadImage (EMPTY), with
    option "uri" and a message that shows the uri as it was given and never a resolved address.
    """
    data = Source(uri, guards, resolve, time.monotonic() + guards.seconds).read()
    if not data:
        raise BadImage(f"uri {shown(uri)}: 0 bytes; expected an image", code="EMPTY", option="uri")
    return data


@dataclass(frozen=True)
class Source:
    """One reading of one uri: what its steps share. `end` is on the monotonic clock."""

    uri: str
    guards: SourceGuards
    resolve: Resolver
    end: float

    def read(self) -> bytes:
        """The bytes, by the scheme of the uri."""
        scheme = scheme_of(self.uri)
        if scheme == "data":
            return embedded(self)
        if len(self.uri) > MAX_CHARACTERS:
            raise self.refused(
                f"{len(self.uri)} characters", f"at most {MAX_CHARACTERS}", code="LENGTH"
            )
        if CONTROL.search(self.uri):
            raise self.refused("a control character", "none", code="SYNTAX")
        if scheme in DEFAULT_PORTS and self.guards.http:
            return fetched(self)
        if scheme in ("", "file") and self.guards.folders:
            return local(self)
        raise self.refused("not read here", self.guards.expected(), code="SCHEME")

    def refused(self, problem: str, allowed: str, *, code: str) -> BadSource:
        """The error that says what is wrong with the uri and what would do."""
        message = f"uri {shown(self.uri)}: {problem}; expected {allowed}"
        return BadSource(message, code=code, option="uri", allowed=allowed)

    def too_large(self, size: str) -> TooLarge:
        """The error for `size` (in words), which is beyond the limit."""
        allowed = f"at most {self.guards.max_bytes} bytes"
        message = f"uri {shown(self.uri)}: {size}; expected {allowed}"
        return TooLarge(message, code="BYTES", option="uri", allowed=allowed)

    def left(self) -> float:
        """Seconds until the end. Raises TimeoutError when there are none."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the time for the whole fetch is over")
        return seconds


def scheme_of(uri: str) -> str:
    """The scheme in lower case, "" for a bare path."""
    match = SCHEME.match(uri[:64])
    return match[1].lower() if match else ""


# data:


def embedded(source: Source) -> bytes:
    """The bytes inside a data: uri, of any media type; base64 may be broken into lines, use the
    URL-safe alphabet or lack its padding, as browsers accept it.
    """
    head, comma, payload = source.uri[len("data:") :].partition(",")
    if not comma or len(head) > MAX_MEDIA_TYPE or not payload.isascii():
        raise source.refused("no data", '"data:<type>;base64,<data>" in ASCII', code="SYNTAX")
    if payload.count("%") > MAX_ESCAPES:
        raise source.refused(
            "too many percent escapes", f"at most {MAX_ESCAPES}; base64 needs none", code="LENGTH"
        )
    octets = unquote_to_bytes(payload) if "%" in payload else payload.encode()
    if head.replace(" ", "").lower().endswith(";base64"):
        return from_base64(source, octets.translate(BASE64, string.whitespace.encode()))
    if len(octets) > source.guards.max_bytes:
        raise source.too_large(f"{len(octets)} bytes")
    return octets


def from_base64(source: Source, text: bytes) -> bytes:
    """The bytes that `text` encodes, their number checked before they are made."""
    digits = text.rstrip(b"=")
    size = len(digits) * 3 // 4
    if size > source.guards.max_bytes:
        raise source.too_large(f"{size} bytes")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error as error:
        raise source.refused(
            "not base64", "base64 after the comma, or no ;base64 before it", code="SYNTAX"
        ) from error


# file: and bare paths


def local(source: Source) -> bytes:
    """The content of a regular file in an allowed folder; links are followed only inside of it."""
    path = local_path(source)
    for folder in source.guards.folders:
        # By name first: whether a file outside exists is nobody's business.
        if path.is_relative_to(os.path.normpath(folder)):
            try:
                return content(source, folder, path)
            except (OSError, RuntimeError, ValueError):  # absent, a loop of links, outside
                continue
    raise source.refused("no such file", "a regular file in an allowed folder", code="LOCAL_PATH")


def local_path(source: Source) -> Path:
    """The path that the uri names, without "..", not yet resolved."""
    text = source.uri
    if scheme_of(text) == "file":
        text = unquote(FILE.sub("/", text))
    if not text.startswith("/") or text.startswith("//") or CONTROL.search(text):
        raise source.refused(
            "not an absolute path", '"/folder/file" or "file:///folder/file"', code="LOCAL_PATH"
        )
    return Path(os.path.normpath(text))


def content(source: Source, folder: Path, path: Path) -> bytes:
    """The file's bytes. Raises OSError, ValueError or RuntimeError where it is not in `folder`."""
    root = folder.resolve(strict=True)
    *parents, name = path.resolve(strict=True).relative_to(root).parts
    file = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    # Step by step, no links: what was checked above may have become a link since.
    for part in parents:
        file = stepped(file, part, os.O_DIRECTORY)
    with open(name, "rb", opener=partial(stepped, file)) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError("not a regular file")
        data = opened.read(source.guards.max_bytes + 1)
    if len(data) > source.guards.max_bytes:
        raise source.too_large("the file is larger")
    return data


def stepped(folder: int, name: str, flags: int) -> int:
    """A descriptor of `name` in the open `folder`, which is closed. Raises OSError for a link."""
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


# http: and https:


def fetched(source: Source) -> bytes:
    """What a server answers, after at most `redirects` redirects, each checked like the first."""
    url = parsed(source, source.uri)
    try:
        for _ in range(source.guards.redirects + 1):
            answer = got(source, url)
            if isinstance(answer, bytes):
                return answer
            url = onward(source, url, answer.location)
    except TimeoutError as error:
        raise source.refused(
            "no complete answer in time",
            f"one within {source.guards.seconds:g} seconds ({CONNECT_SECONDS:g} to connect)",
            code="SOURCE_TIMEOUT",
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise source.refused(
            "the certificate is not trusted or is for another host",
            "a valid certificate",
            code="SOURCE_UNREACHABLE",
        ) from error
    except (OSError, HTTPException, zlib.error) as error:
        raise source.refused(
            "cannot be fetched", "a server that answers in HTTP", code="SOURCE_UNREACHABLE"
        ) from error
    limit = source.guards.redirects
    raise source.refused("too many redirects", f"at most {limit}", code="REDIRECTS")


def parsed(source: Source, text: str) -> Url:
    """`text` taken apart strictly. Raises BadSource for any other form than scheme://host/path."""
    if scheme_of(text) not in DEFAULT_PORTS:
        raise source.refused("redirected to another scheme", "http or https", code="SCHEME")
    whole = URL.fullmatch(text)
    authority = whole and AUTHORITY.fullmatch(whole[2])
    if not whole or not authority or CONTROL.search(text) or " " in text:
        raise source.refused(
            "not a plain address",
            '"http://host/path", no user name, spaces as %20',
            code="SYNTAX",
        )
    scheme = whole[1].lower()
    port = int(authority[2] or DEFAULT_PORTS[scheme])
    if port not in source.guards.ports:
        ports = ", ".join(map(str, source.guards.ports))
        raise source.refused(f"port {port}", f"a port out of {ports}", code="ADDRESS")
    target = quote(whole[3] or "/", safe=string.punctuation)
    return Url(scheme, host_of(source, authority[1]), port, target)


def host_of(source: Source, text: str) -> str:
    """The host in its one canonical spelling. Raises BadSource (SYNTAX, ADDRESS)."""
    try:
        host = canonical(text)
    except ValueError as error:
        raise source.refused("no valid host", "a host name or an address", code="SYNTAX") from error
    if NUMBER.fullmatch(host) and not is_dotted_quad(host):
        raise source.refused("an unusual address", "four decimal numbers", code="ADDRESS")
    if not source.guards.allow_host(host):
        raise source.refused("host not allowed", "a host on the operator's list", code="ADDRESS")
    return host


def canonical(host: str) -> str:
    """`host` in lower case and ASCII, without brackets or a last dot. Raises ValueError."""
    if host.startswith("["):
        return str(IPv6Address(host[1:-1]))
    name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    name = name.removesuffix(".")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name} is not a host name")
    return name


def is_dotted_quad(host: str) -> bool:
    """Whether `host` is an IPv4 address as everybody writes it: no octal, no short forms."""
    try:
        return bool(IPv4Address(host))
    except ValueError:
        return False


def onward(source: Source, url: Url, location: str) -> Url:
    """Where a redirect from `url` leads. Raises BadSource like the first address would."""
    # http.client reads headers as Latin-1; servers send UTF-8 and raw spaces.
    text = quote(location.encode("latin-1"), safe=string.punctuation)
    if not text or len(text) > MAX_CHARACTERS:
        raise source.refused("a redirect to nowhere", "a target", code="REDIRECTS")
    try:
        following = parsed(source, urljoin(str(url), text))
    except ValueError as error:  # urljoin, on a broken [address]
        raise source.refused("a broken redirect", "a target", code="REDIRECTS") from error
    if (url.scheme, following.scheme) == ("https", "http"):
        raise source.refused("redirected from https to http", "https throughout", code="REDIRECTS")
    return following


class Redirect(NamedTuple):
    """The answer of a server that has the picture elsewhere."""

    location: str


def got(source: Source, url: Url) -> bytes | Redirect:
    """One request's answer. Raises BadSource, TooLarge, OSError (TimeoutError) or HTTPException."""
    with connected(source, url) as connection:
        connection.settimeout(source.left())
        connection.sendall(request(url))
        # HTTPResponse only asks its socket for a file; this one knows the end of the fetch.
        wire = cast(socket.socket, Wire(source, connection))
        with closing(HTTPResponse(wire, method="GET")) as response:
            response.begin()
            if response.status in REDIRECTS:
                return Redirect(response.getheader("Location", ""))
            if response.status != 200:
                raise source.refused(
                    f"the server answered {response.status}", "200", code="SOURCE_STATUS"
                )
            return decoded(source, response, body(source, response))


def request(url: Url) -> bytes:
    """The request for `url`, all of whose parts are printable ASCII by now."""
    return (
        f"GET {url.target} HTTP/1.1\r\nHost: {url.authority}\r\nUser-Agent: superres\r\n"
        "Accept: image/*,*/*;q=0.5\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


class Wire(io.RawIOBase):
    """What arrives on a connection; no read outlasts the end of the fetch, drip as it may."""

    def __init__(self, source: Source, connection: socket.socket) -> None:
        super().__init__()
        self.source = source
        self.connection = connection

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """The number of bytes that one system call put into `buffer`."""
        self.connection.settimeout(self.source.left())
        return self.connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The reader that http.client asks a socket for."""
        return io.BufferedReader(self)


def body(source: Source, response: HTTPResponse) -> bytes:
    """The answer's body as sent, complete, at most `max_bytes`."""
    limit = source.guards.max_bytes
    announced = response.length
    if announced is not None and announced > limit:
        raise source.too_large(f"{announced} bytes announced")
    data = io.BytesIO()
    # read1, not read: a chunk's size is the server's claim, and read would trust it.
    while piece := response.read1(PIECE):
        data.write(piece)
        if data.tell() > limit:
            raise source.too_large("the answer is longer")
    if announced is not None and data.tell() < announced:
        raise source.refused(
            f"the answer ended after {data.tell()} of {announced} bytes",
            "all of them",
            code="SOURCE_UNREACHABLE",
        )
    return data.getvalue()


def decoded(source: Source, response: HTTPResponse, data: bytes) -> bytes:
    """`data` without the content encoding that some servers apply unasked, within the limit."""
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise source.refused(
            f"sent as {shown(encoding, 20)}", "no Content-Encoding, or gzip", code="SOURCE_ENCODING"
        )
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: with a zlib or a gzip header
    plain = inflate.decompress(data, source.guards.max_bytes + 1)
    if len(plain) > source.guards.max_bytes:
        raise source.too_large("the answer is longer once decompressed")
    if not inflate.eof or inflate.unused_data:
        raise source.refused(f"broken {encoding}", "one whole stream", code="SOURCE_ENCODING")
    return plain


# Addresses


@contextmanager
def connected(source: Source, url: Url) -> Iterator[socket.socket]:
    """A connection to one of the checked addresses of `url`, with TLS in the host's name."""
    with dialled(source, url, candidates(source, url.host)) as plain:
        if url.scheme == "http":
            yield plain
            return
        plain.settimeout(source.left())
        context = ssl.create_default_context()
        with context.wrap_socket(plain, server_hostname=url.host) as secured:
            yield secured


def dialled(source: Source, url: Url, addresses: list[Address]) -> socket.socket:
    """A connection to the first of `addresses` that answers. Raises OSError where none does."""
    failure = OSError("the name has no address")
    for address in addresses[:MAX_CANDIDATES]:
        seconds = min(CONNECT_SECONDS, source.left())
        try:
            # A numeric address is not resolved again.
            return socket.create_connection((str(address), url.port), timeout=seconds)
        except OSError as error:
            failure = error
    raise failure


def candidates(source: Source, host: str) -> list[Address]:
    """The addresses of `host`. Raises BadSource (ADDRESS) unless all of them may be reached."""
    addresses = [unwrapped(ip_address(text)) for text in looked_up(source, host)]
    if not all(map(source.guards.allow, addresses)):
        raise source.refused("address not allowed", "a host on the public internet", code="ADDRESS")
    return addresses


def looked_up(source: Source, host: str) -> list[str]:
    """The addresses of `host` as text. Raises OSError, or TimeoutError when time is over."""
    if ":" in host or is_dotted_quad(host):
        return [host]
    answer: Future[list[str]] = Future()

    def work() -> None:
        try:
            answer.set_result(source.resolve(host))
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            answer.set_exception(error)

    # getaddrinfo knows no timeout; the thread ends with the system's own.
    Thread(target=work, name="resolve", daemon=True).start()
    return answer.result(source.left())


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, else `address`."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def public(address: Address) -> bool:
    """Whether `address` belongs to the public internet.

    False for every special-purpose range, and for every IPv6 form that carries an IPv4 address
    (compatible, 6to4, NAT64, Teredo, ISATAP) whichever it carries: no public web server needs
    them. IPv4-mapped addresses are judged as the IPv4 address.
    """
    address = unwrapped(address)
    if isinstance(address, IPv6Address):
        isatap = (int(address) >> 32) & 0xFDFFFFFF == ISATAP
        if isatap or address not in GLOBAL_UNICAST:
            return False
    return address.is_global and not any(address in network for network in SPECIAL)
