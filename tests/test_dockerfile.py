"""What can be checked of the image without building it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
COPIED = [part for line in LINES if line.startswith("COPY ") for part in line.split()[1:-1]]


@pytest.mark.parametrize("path", COPIED)
def test_what_is_copied_exists_and_is_not_ignored(path: str) -> None:
    assert (ROOT / path).exists()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert any(Path(path).match(line[1:]) for line in allowed if line.startswith("!"))


def test_what_the_code_needs_is_copied() -> None:
    packages = {"contract", "evaluation", "superres", "executors", "gateway"}
    assert {"config.yml", "flows", *packages} <= set(COPIED)


def test_it_runs_jina_and_not_as_root() -> None:
    users = [line.split()[1] for line in LINES if line.startswith("USER ")]
    assert users == ["10001"]
    assert LINES.index("USER 10001") < LINES.index('ENTRYPOINT ["tini", "--", "jina"]')


def test_torch_is_the_pinned_one() -> None:
    pinned = re.search(r"^torch==\S+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[0] in (ROOT / "Dockerfile").read_text()
