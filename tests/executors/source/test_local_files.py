import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from executors.source import SourcePolicy, enter_folder, read_source
from superres.errors import BadSetting, BadSource
from tests.executors.source.servers import PICTURE, refusal


@pytest.mark.parametrize(
    "uri",
    [
        "{folder}/a b.png",
        "file://{folder}/a%20b.png",
        "file:{folder}/a b.png",
        "FILE://localhost{folder}/a%20b.png",
        "{folder}/deep/er/ü.png",
        "file://{folder}/deep/er/%C3%BC.png",
        "{folder}/deep/../a b.png",
        "{folder}//./a b.png",
        "{folder}/in.png",
    ],
)
def test_files_in_an_allowed_folder_are_read(folder: Path, uri: str) -> None:
    guards = SourcePolicy(folders=(folder / "missing", folder))
    assert read_source(uri.format(folder=folder), guards) == PICTURE


@pytest.mark.parametrize(
    "uri",
    [
        "{folder}/../secret.png",
        "file://{folder}/%2e%2e/secret.png",
        "{folder}/deep/../../secret.png",
        "{folder}-secret/a.png",
        "{folder}/out.png",
        "{folder}/out/secret.png",
        "{folder}/out/pictures/a b.png/..",
        "{folder}/loop.png",
        "{folder}/pipe.png",
        "{folder}/deep",
        "{folder}",
        "{folder}/",
        "{folder}/a b.png/x",
        "{folder}/missing.png",
        "{folder}/{long}",
        "file://{folder}/a%00.png",
        "file://other{folder}/a%20b.png",
        "file://{folder}/a%20b.png?x",
        "/{folder}/a b.png",
        "a b.png",
        "./a b.png",
        "file:a%20b.png",
        "file:",
        "/etc/passwd",
        "/proc/self/environ",
        "",
    ],
)
def test_anything_but_a_file_in_the_folder_is_refused(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    error = refusal(uri.format(folder=folder, long="x" * 300), SourcePolicy(folders=(folder,)))
    assert error.code == "LOCAL_PATH"


@pytest.mark.parametrize(("name", "flags"), [("out", os.O_DIRECTORY), ("in.png", 0)])
def test_a_step_into_what_became_a_link_after_the_check_fails(
    folder: Path, name: str, flags: int
) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError, match=name):
        enter_folder(opened, name, os.O_RDONLY | flags)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)


def test_the_allowed_folder_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    guards = SourcePolicy(folders=(tmp_path / "alias",))
    assert read_source(f"{tmp_path}/alias/a b.png", guards) == PICTURE
    assert refusal(f"{folder}/a b.png", guards).code == "LOCAL_PATH"


def test_files_are_limited_and_empty_ones_refused(folder: Path) -> None:
    guards = SourcePolicy(folders=(folder,), max_bytes=len(PICTURE))
    assert read_source(f"{folder}/a b.png", guards) == PICTURE
    assert refusal(f"{folder}/a b.png", replace(guards, max_bytes=100)).code == "BYTES"
    assert refusal(f"{folder}/empty.png", guards).code == "EMPTY"


def test_reading_leaves_no_descriptor_open(folder: Path) -> None:
    guards = SourcePolicy(folders=(folder,))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a b.png", "deep", "pipe.png", "out.png", "a b.png/x", "deep/er/ü.png"):
        with suppress(BadSource):
            read_source(f"{folder}/{name}", guards)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("setting", "build"),
    [
        ("private_networks", lambda: SourcePolicy(private_networks=("10.1.0.0/8",))),
        ("private_networks", lambda: SourcePolicy(private_networks=("localhost",))),
        ("folders", lambda: SourcePolicy(folders=(Path("pictures"),))),
        ("max_bytes", lambda: SourcePolicy(max_bytes=0)),
        ("seconds", lambda: SourcePolicy(seconds=0)),
        ("seconds", lambda: SourcePolicy(seconds=float("nan"))),
        ("redirects", lambda: SourcePolicy(redirects=-1)),
    ],
)
def test_senseless_settings_are_named_at_start(
    setting: str, build: Callable[[], SourcePolicy]
) -> None:
    with pytest.raises(BadSetting, match=rf"^{setting}.*expected"):
        build()
