import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from executors.source import read_source
from tests.executors.source.servers import PICTURE, Server, names, redirect, refusal, reply, serving


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
