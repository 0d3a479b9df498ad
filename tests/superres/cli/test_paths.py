"""Names of files that are read and written, and how the written ones appear."""

import errno
import os
from pathlib import Path

import pytest

from superres.cli.paths import (
    Destination,
    InputFile,
    TargetTaken,
    check_target,
    choose_destination,
    list_inputs,
    write_output,
)
from superres.codecs.encode import FORMATS
from superres.errors import BadImage

PNG, JPEG, TIFF = FORMATS["png"], FORMATS["jpeg"], FORMATS["tiff"]


@pytest.mark.parametrize(
    ("source", "made", "name"),
    [
        ("in/photo.jpg", PNG, "in/photo.x3.png"),
        ("in/photo.JPEG", JPEG, "in/photo.x3.jpeg"),
        ("in/photo.png", JPEG, "in/photo.x3.jpg"),
        ("in/scan.tif", TIFF, "in/scan.x3.tif"),
        ("in/two.dots.png", PNG, "in/two.dots.x3.png"),
        ("in/no ending", PNG, "in/no ending.x3.png"),
    ],
)
def test_an_answer_is_named_after_its_original(source: str, made: object, name: str) -> None:
    beside = Destination(None, folder=False, image_format=None)
    assert beside.target(InputFile(Path(source)), made, "x3") == Path(name)  # type: ignore[arg-type]


def test_standard_input_has_a_name_in_a_folder(tmp_path: Path) -> None:
    goal = choose_destination(["-"], f"{tmp_path}/", "png")
    assert goal.target(InputFile(None), PNG, "x3") == tmp_path / "stdin.x3.png"


def test_one_picture_goes_into_one_file_and_its_ending_names_the_format(tmp_path: Path) -> None:
    goal = choose_destination([str(tmp_path / "a.png")], str(tmp_path / "b.webp"), None)
    assert goal.format_for("png") is FORMATS["webp"]
    assert goal.target(InputFile(tmp_path / "a.png"), FORMATS["webp"], "x3") == tmp_path / "b.webp"


def test_a_folder_names_its_pictures_in_order(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for name in ("c.tif", "b.PNG", "a.ppm", ".d.png", "a.x2.png", "a.upscaled.jpg", "e.txt"):
        (tmp_path / name).touch()
    found = [source.path for source in list_inputs(str(tmp_path))]
    assert found == [tmp_path / name for name in ("a.ppm", "b.PNG", "c.tif")]
    with pytest.raises(BadImage, match="no images directly in this folder"):
        list_inputs(str(tmp_path / "folder.png"))


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_output(tmp_path / "made", b"picture", force=False)
    assert (tmp_path / "made").read_bytes() == b"picture"
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"mine")
    with pytest.raises(TargetTaken, match="--force"):
        write_output(tmp_path / "made", b"picture", force=False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_dangling_link_counts_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "made").symlink_to("nowhere")
    with pytest.raises(TargetTaken):
        check_target(tmp_path / "made", force=False)


def test_file_systems_without_hard_links_are_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_output(tmp_path / "made", b"picture", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    with pytest.raises(TargetTaken):
        write_output(tmp_path / "made", b"another", force=False)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_output(tmp_path / "made", b"picture", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("output", ["absent/made.png", "."])
def test_a_target_must_lie_in_a_folder(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetTaken, match="folder"):
        check_target(Path(output), force=True)
