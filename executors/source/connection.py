"""Connections to the checked addresses of a host.

A name is resolved once, every address of the answer is checked, and the connection goes to one of
the checked addresses: a second answer of a hostile name server is never asked for. Proxies of the
environment are not used.
"""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Thread

from executors.source.fetch_context import FetchContext
from executors.source.public_addresses import Address, unwrap_mapped
from executors.source.urls import Url, is_dotted_quad

_MAX_CANDIDATES = 4  # addresses of one name that are tried
CONNECT_SECONDS = 3.0


@contextmanager
def connect(source: FetchContext, url: Url) -> Iterator[socket.socket]:
    """Return a connection to one of the checked addresses of `url`, with TLS in the host's name."""
    with _dial(source, url, candidates(source, url.host)) as plain:
        if url.scheme == "http":
            yield plain
            return
        plain.settimeout(source.left())
        context = ssl.create_default_context()
        with context.wrap_socket(plain, server_hostname=url.host) as secured:
            yield secured


def _dial(source: FetchContext, url: Url, addresses: list[Address]) -> socket.socket:
    """Return a connection to the first of `addresses` that answers. Raises OSError where
    none does.
    """
    failure = OSError("the name has no address")
    for address in addresses[:_MAX_CANDIDATES]:
        seconds = min(CONNECT_SECONDS, source.left())
        try:
            # A numeric address is not resolved again.
            return socket.create_connection((str(address), url.port), timeout=seconds)
        except OSError as error:
            failure = error
    raise failure


def candidates(source: FetchContext, host: str) -> list[Address]:
    """Return the addresses of `host`. Raises BadSource (ADDRESS) unless all of them may be
    reached.
    """
    addresses = [unwrap_mapped(ip_address(text)) for text in _look_up(source, host)]
    if not all(map(source.policy.allow, addresses)):
        raise source.refused("address not allowed", "a host on the public internet", code="ADDRESS")
    return addresses


def _look_up(source: FetchContext, host: str) -> list[str]:
    """Return the addresses of `host` as text. Raises OSError, or TimeoutError when time is over."""
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


def resolve_host(host: str) -> list[str]:
    """Return the addresses of `host` as the system knows them. Raises OSError where there
    are none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
