"""Services that tests of the gateway share."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.gateway.service import Service, discard, flow_yaml, free_port, launch, ready

KEYS = ["first-key", "second-key"]


def self_signed(folder: Path) -> Path:
    """A certificate for localhost; its key lies beside it with the suffix .key."""
    certificate = folder / "cert.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate to test TLS with")
    command = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    subprocess.run([openssl, *command, *names, *files], check=True, capture_output=True)
    return certificate


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    """Two that start at the same time: the default, and one with keys, TLS and small limits."""
    folders = [tmp_path_factory.mktemp(name) for name in ("open", "keyed")]
    certificate = self_signed(folders[1])
    settings = {"api_keys": KEYS, "max_request_mb": 1, "max_in_flight": 2}
    port = free_port()
    files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(certificate.with_suffix(".key"))}
    guarded = launch(folders[1], flow=flow_yaml(port, settings, files))
    services = (launch(folders[0]), replace(guarded, port=port, certificate=certificate))
    yield services
    for service in services:
        discard(service)


@pytest.fixture(scope="session")
def service(launched: tuple[Service, Service]) -> Service:
    return ready(launched[0])


@pytest.fixture(scope="session")
def keyed(launched: tuple[Service, Service]) -> Service:
    return ready(launched[1])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """A service that a test may stop or kill; not waited for."""
    service = launch(tmp_path)
    yield service
    discard(service)
