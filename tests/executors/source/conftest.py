import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executors.source.servers import PICTURE, Server, reply, serving


@pytest.fixture(scope="module")
def canary() -> Iterator[Server]:
    with serving(reply()) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder with one of everything, and a secret beside it."""
    inside = tmp_path / "pictures"
    (inside / "deep" / "er").mkdir(parents=True)
    (tmp_path / "pictures-secret").mkdir()
    (inside / "a b.png").write_bytes(PICTURE)
    (inside / "deep" / "er" / "ü.png").write_bytes(PICTURE)
    (inside / "empty.png").touch()
    for secret in (tmp_path / "secret.png", tmp_path / "pictures-secret" / "a.png"):
        secret.write_bytes(b"secret")
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "out").symlink_to(tmp_path)
    (inside / "in.png").symlink_to("a b.png")
    (inside / "loop.png").symlink_to("loop.png")
    os.mkfifo(inside / "pipe.png")
    return inside
