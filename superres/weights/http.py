"""HTTP to the publishers of weights: proxies, certificates, redirects."""

import ssl
from typing import Any
from urllib.parse import urljoin

import certifi
import requests
from requests.adapters import HTTPAdapter

__all__ = ["open_session"]


def open_session() -> requests.Session:
    """Open a session for http and https: no file:, ftp: or data: behind a redirect.

    Proxies come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY as they are now, certificates from the
    machine (SSL_CERT_FILE) and certifi; a .netrc does not count.
    """
    session = _Session()
    session.mount("https://", _TrustingAdapter())
    session.headers.update({"User-Agent": "superres", "Accept-Encoding": "identity"})
    session.auth = lambda request: request
    return session


class _Session(requests.Session):
    """Follows redirects (releases live on another host), but never out of TLS."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target: str | None = super().get_redirect_target(resp)
        if target is None:
            return None
        scheme = resp.url.partition(":")[0]
        allowed = ("https:",) if scheme == "https" else ("https:", "http:")
        if not urljoin(resp.url, target).lower().startswith(allowed):
            resp.close()
            raise requests.exceptions.InvalidSchema(f"a redirect leads out of {scheme}")
        return target


class _TrustingAdapter(HTTPAdapter):
    """Trusts the machine's certificates (SSL_CERT_FILE) and, in bare images, certifi's."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_make_context(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=_make_context(), **options)


def _make_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False  # urllib3 1 compares the name itself, addresses too
    context.load_verify_locations(certifi.where())
    return context
