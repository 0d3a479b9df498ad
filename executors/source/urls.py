"""http(s) addresses, taken apart strictly: what parsers disagree on is refused."""

import re
import string
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urljoin

import idna

from executors.source.fetch_context import CONTROL, MAX_CHARACTERS, FetchContext, scheme_of

DEFAULT_PORTS = {"http": 80, "https": 443}
URL = re.compile(r"(https?)://([^/?#\\]+)(?:(/[^#]*)(?:#.*)?)?", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^@:\[\]]{1,255})(?::([0-9]{1,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
# What inet_aton reads as an address: the last label is a number (the rule of the URL standard).
NUMBER = re.compile(r"(?:[^:]*\.)?(?:[0-9]+|0x[0-9a-f]*)")


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


def parse_url(source: FetchContext, text: str) -> Url:
    """Return `text` taken apart strictly. Raises BadSource for any other form than
    scheme://host/path.
    """
    if scheme_of(text) not in DEFAULT_PORTS:
        raise source.refused("redirected to another scheme", "http or https", code="SCHEME")
    whole = URL.fullmatch(text)
    authority = whole and _AUTHORITY.fullmatch(whole[2])
    if not whole or not authority or CONTROL.search(text) or " " in text:
        raise source.refused(
            "not a plain address", '"http://host/path", no user name, spaces as %20', code="SYNTAX"
        )
    scheme = whole[1].lower()
    port = int(authority[2] or DEFAULT_PORTS[scheme])
    if port not in source.policy.ports:
        ports = ", ".join(map(str, source.policy.ports))
        raise source.refused(f"port {port}", f"a port out of {ports}", code="ADDRESS")
    target = quote(whole[3] or "/", safe=string.punctuation)
    return Url(scheme, _host_of(source, authority[1]), port, target)


def _host_of(source: FetchContext, text: str) -> str:
    """Return the host in its one canonical spelling. Raises BadSource (SYNTAX, ADDRESS)."""
    try:
        host = _canonical(text)
    except ValueError as error:
        raise source.refused("no valid host", "a host name or an address", code="SYNTAX") from error
    if NUMBER.fullmatch(host) and not is_dotted_quad(host):
        raise source.refused("an unusual address", "four decimal numbers", code="ADDRESS")
    if not source.policy.allow_host(host):
        raise source.refused("host not allowed", "a host on the operator's list", code="ADDRESS")
    return host


def _canonical(host: str) -> str:
    """Return `host` in lower case and ASCII, without brackets or a last dot. Raises ValueError."""
    if host.startswith("["):
        return str(IPv6Address(host[1:-1]))
    name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    name = name.removesuffix(".")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name} is not a host name")
    return name


def is_dotted_quad(host: str) -> bool:
    """Return whether `host` is an IPv4 address as everybody writes it: no octal, no short forms."""
    try:
        return bool(IPv4Address(host))
    except ValueError:
        return False


def onward(source: FetchContext, url: Url, location: str) -> Url:
    """Return where a redirect from `url` leads. Raises BadSource like the first address would."""
    # http.client reads headers as Latin-1; servers send UTF-8 and raw spaces.
    text = quote(location.encode("latin-1"), safe=string.punctuation)
    if not text or len(text) > MAX_CHARACTERS:
        raise source.refused("a redirect to nowhere", "a target", code="REDIRECTS")
    try:
        following = parse_url(source, urljoin(str(url), text))
    except ValueError as error:  # urljoin, on a broken [address]
        raise source.refused("a broken redirect", "a target", code="REDIRECTS") from error
    if (url.scheme, following.scheme) == ("https", "http"):
        raise source.refused("redirected from https to http", "https throughout", code="REDIRECTS")
    return following
