"""The README tells the truth: what it names exists, and what it shows compiles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
LINKS = set(re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", README))
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
QUOTED = set(re.findall(r"`([^`\n]+)`", PROSE))

# A quoted word is a path of ours if it lies in one of our folders or is a file at the root.
OURS = re.compile(
    r"(superres|executors|gateway|flows|tests|training|benchmarks|examples|docs|\.ci)/[\w./-]*"
    r"|[\w-]+\.(md|txt|toml|yml|yaml)|Makefile|LICENSE|Dockerfile"
)
PATHS = LINKS | {text for text in QUOTED if OURS.fullmatch(text)}
PYTHON = [code for language, code in BLOCKS if language == "python"]


def test_the_two_commands_are_in_the_readme_and_the_makefile() -> None:
    for command in ("demo", "test"):
        assert f"make {command}" in README
        assert command in TARGETS


def test_every_make_target_of_the_readme_exists() -> None:
    shell = "\n".join(code for language, code in BLOCKS if language in {"sh", "bash", "console"})
    named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", shell, flags=re.MULTILINE))
    named |= {text.removeprefix("make ") for text in QUOTED if re.fullmatch(r"make [a-z-]+", text)}
    assert named <= TARGETS


def test_every_target_of_the_makefile_is_explained_by_make_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## \w", MAKEFILE, re.MULTILINE))


def test_every_path_of_the_readme_exists() -> None:
    assert not {path for path in PATHS if not (ROOT / path).exists()}


def test_the_readme_has_python_to_try() -> None:
    assert PYTHON


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_the_python_of_the_readme_compiles(code: str) -> None:
    compile(code, "README.md", "exec")


def test_the_python_without_a_server_runs(tmp_path: Path) -> None:
    (code,) = (code for code in PYTHON if "import superres" in code)
    image = Image.effect_noise((60, 40), 40).convert("RGB")
    image.save(tmp_path / "photo.jpg")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "photo.jpg (80, 120, 3)"
    with Image.open(tmp_path / "large.jpg") as large:
        assert (large.format, large.size) == ("JPEG", (240, 160))


def test_the_pipeline_runs_what_the_readme_says() -> None:
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make test" in commands
    assert "make lint" in commands
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_make_help_lists_the_verbs() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {line.split()[0] for line in printed.splitlines()} >= {"serve", "demo", "test"}
