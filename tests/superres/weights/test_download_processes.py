import logging
import multiprocessing
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from superres.errors import WeightsMissing
from superres.weights.download import download
from tests.superres.weights.downloads import run_download
from tests.superres.weights.publisher import (
    CONTENT,
    HASTE,
    Request,
    cut,
    promised,
    publishing,
    status,
    well,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A file that holds what this process and its children log."""
    handler, logger = logging.FileHandler(tmp_path / "log"), logging.getLogger("superres")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield tmp_path / "log"
    logger.setLevel(level)
    logger.removeHandler(handler)
    handler.close()


def test_two_processes_download_once(target: Path, log: Path) -> None:
    both_are_there = threading.Event()

    def patient(request: Request) -> None:
        assert both_are_there.wait(10)
        well(request)

    fork = multiprocessing.get_context("fork")
    with publishing(patient) as publisher:
        arguments = (promised(publisher.url), target, replace(HASTE, stall=10))
        processes = [fork.Process(target=download, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        while "waiting for another process" not in log.read_text():
            assert all(process.is_alive() for process in processes)
            time.sleep(0.01)
        both_are_there.set()
        for process in processes:
            process.join(10)
        assert [process.exitcode for process in processes] == [0, 0]
        assert len(publisher.seen) == 1
    assert target.read_bytes() == CONTENT


def test_a_lock_that_is_never_released_is_named(target: Path) -> None:
    target.parent.mkdir()
    held = FileLock(f"{target}.lock", thread_local=False)
    taker = threading.Thread(target=held.acquire)
    taker.start()
    taker.join()
    with pytest.raises(WeightsMissing, match=r"weights\.pth\.lock for 0\.1 s"):
        download(promised("http://127.0.0.1:9/"), target, replace(HASTE, total=0.1))
    held.release()


def test_http_proxy_is_honoured(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with publishing(well) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        download(promised("http://weights.invalid/weights.pth"), target, HASTE)
        assert [request.path for request in proxy.seen] == ["http://weights.invalid/weights.pth"]
    assert target.read_bytes() == CONTENT


def test_https_proxy_is_asked_for_a_tunnel(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with publishing(status(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(WeightsMissing, match="407"):
            download(promised("https://weights.invalid/weights.pth"), target, HASTE)
        asked = {(request.command, request.path) for request in proxy.seen}
    assert asked == {("CONNECT", "weights.invalid:443")}


def test_no_proxy_is_honoured(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert run_download(target, well) == ([None], None)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", f"{path}.crt"]
    command = [openssl, *options.split(), *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("a") as stream:
        stream.write(Path(f"{path}.crt").read_text())
    return path


def test_a_certificate_named_in_the_environment_is_trusted(
    target: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    with publishing(cut(5000), well, certificate=certificate) as publisher:
        download(promised(publisher.url), target, HASTE)
    assert target.read_bytes() == CONTENT


def test_an_unknown_certificate_is_refused_with_a_hint(target: Path, certificate: Path) -> None:
    with publishing(well, certificate=certificate) as publisher:
        with pytest.raises(WeightsMissing, match="SSL_CERT_FILE"):
            download(promised(publisher.url), target, HASTE)
        assert publisher.seen == []


def test_a_redirect_out_of_https_is_refused(
    target: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    away = status(302, Location="http://127.0.0.1:9/")
    with (
        publishing(away, certificate=certificate) as publisher,
        pytest.raises(WeightsMissing, match="out of https"),
    ):
        download(promised(publisher.url), target, HASTE)
