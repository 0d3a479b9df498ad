"""What speaks HTTP to the publishers of weights: proxies, certificates, redirects, two timeouts."""

import http.client
import ssl
import urllib.error
import urllib.request
from functools import partial
from typing import IO

import certifi


def make_opener(connect: float) -> urllib.request.OpenerDirector:
    """Open http and https only: no file:, ftp: or data: behind a redirect.

    Proxies come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY as they are now, certificates from the
    machine (SSL_CERT_FILE) and certifi. Connecting may take `connect` seconds; the timeout given
    to `open` is for every later wait for bytes.
    """
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(connect),
        _Secure(connect),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects (releases live on another host), but never out of TLS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https:",) if req.type == "https" else ("https:", "http:")
        if not newurl.lower().startswith(allowed):
            fp.close()
            raise urllib.error.URLError(f"a redirect leads out of {req.type}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, connect: float) -> None:
        super().__init__()
        self.connect = connect

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PlainConnection, connect=self.connect), req)


class _Secure(urllib.request.HTTPSHandler):
    """TLS that trusts the machine's certificates (SSL_CERT_FILE) and, in bare images, certifi's."""

    def __init__(self, connect: float) -> None:
        super().__init__()
        self.connect = connect

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        trust = ssl.create_default_context()
        trust.load_verify_locations(certifi.where())
        connection = partial(_SecureConnection, connect=self.connect, trust=trust)
        return self.do_open(connection, req)


class _PlainConnection(http.client.HTTPConnection):
    """Connects within one time and waits for bytes for another: urllib knows only one."""

    def __init__(self, host: str, timeout: float, connect: float) -> None:
        super().__init__(host, timeout=connect)
        self.stall = timeout

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.stall)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, timeout: float, connect: float, trust: ssl.SSLContext) -> None:
        super().__init__(host, timeout=connect, context=trust)
        self.stall = timeout

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.stall)
