"""What http(s) servers answer; redirects are followed by hand, each with every check again."""

import io
import socket
import ssl
import zlib
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, NamedTuple, cast

from contract.problem import quote
from executors.source.connection import CONNECT_SECONDS, connect
from executors.source.fetch_context import FetchContext
from executors.source.urls import Url, onward, parse_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 2**16
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch(source: FetchContext) -> bytes:
    """Return what a server answers, after at most `redirects` redirects, each checked like the
    first.
    """
    url = parse_url(source, source.uri)
    try:
        for _ in range(source.policy.redirects + 1):
            answer = got(source, url)
            if isinstance(answer, bytes):
                return answer
            url = onward(source, url, answer.location)
    except TimeoutError as error:
        raise source.refused(
            "no complete answer in time",
            f"one within {source.policy.seconds:g} seconds ({CONNECT_SECONDS:g} to connect)",
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
    limit = source.policy.redirects
    raise source.refused("too many redirects", f"at most {limit}", code="REDIRECTS")


class Redirect(NamedTuple):
    """The answer of a server that has the image elsewhere."""

    location: str


def got(source: FetchContext, url: Url) -> bytes | Redirect:
    """Return one request's answer. Raises BadSource, TooLarge, OSError (TimeoutError) or
    HTTPException.
    """
    with connect(source, url) as connection:
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
            return _decode_content_encoding(source, response, body(source, response))


def request(url: Url) -> bytes:
    """Return the request for `url`, all of whose parts are printable ASCII by now."""
    return (
        f"GET {url.target} HTTP/1.1\r\nHost: {url.authority}\r\nUser-Agent: superres\r\n"
        "Accept: image/*,*/*;q=0.5\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


class Wire(io.RawIOBase):
    """What arrives on a connection; no read outlasts the end of the fetch, drip as it may."""

    def __init__(self, source: FetchContext, connection: socket.socket) -> None:
        super().__init__()
        self.source = source
        self.connection = connection

    def readable(self) -> bool:
        """Return True: http.client asks."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Return the number of bytes that one system call put into `buffer`."""
        self.connection.settimeout(self.source.left())
        return self.connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reader that http.client asks a socket for."""
        return io.BufferedReader(self)


def body(source: FetchContext, response: HTTPResponse) -> bytes:
    """Return the answer's body as sent, complete, at most `max_bytes`."""
    limit = source.policy.max_bytes
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


def _decode_content_encoding(source: FetchContext, response: HTTPResponse, data: bytes) -> bytes:
    """Return `data` without the content encoding that some servers apply unasked, within
    the limit.
    """
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise source.refused(
            f"sent as {quote(encoding, 20)}", "no Content-Encoding, or gzip", code="SOURCE_ENCODING"
        )
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: with a zlib or a gzip header
    plain = inflate.decompress(data, source.policy.max_bytes + 1)
    if len(plain) > source.policy.max_bytes:
        raise source.too_large("the answer is longer once decompressed")
    if not inflate.eof or inflate.unused_data:
        raise source.refused(f"broken {encoding}", "one whole stream", code="SOURCE_ENCODING")
    return plain
