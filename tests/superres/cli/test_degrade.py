"""`superres degrade`: one image, a set, and what is wrong with the options."""

import json
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import astronaut

from superres.cli.main import main
from superres.degradation.recipes import RECIPES


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(astronaut()[:60, :81]).save(path)
    return path


def test_one_image_and_what_was_done(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = photo.with_name("small.jpg")
    given = ["degrade", str(photo), str(target), "--recipe", "photo", "--seed", "9"]
    assert main(given) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["seed"], record["output_size"], record["cropped"]) == (9, [20, 15], [1, 0])
    with Image.open(target) as image:
        assert (image.format, image.size) == ("JPEG", (20, 15))
    first = target.read_bytes()
    assert main(given) != 0
    assert "--force" in capsys.readouterr().err
    assert main([*given, "--force"]) == 0
    assert target.read_bytes() == first


def test_a_set(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photo.parent / "set"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    (folder / "tiny.png").write_bytes(b"")
    assert main(["degrade", str(folder), str(folder.with_name("pairs")), "--seed", "1"]) == 1
    said = capsys.readouterr()
    assert "1 pairs made, 0 there before, 1 failed" in said.out
    assert said.err.startswith("tiny.png: ")


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["degrade", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RECIPES)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--recipe", "rain"], 'recipe "rain": expected one of none, bicubic'),
        (["--reduction", "17"], "reduction 17: expected a whole number from 1 to 16"),
        (["--seed", "-1"], "seed -1: expected a whole number from 0"),
        (["--layout", "zip"], '--layout "zip": expected one of folders, webdataset, imagefolder'),
        (["--shard-pairs", "0"], "--shard-pairs 0"),
        (["--workers", "0"], "--workers 0"),
    ],
)
def test_a_wrong_option_is_named(
    given: list[str], words: str, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["degrade", str(photo.parent), str(photo.parent.parent / "x"), *given]) == 2
    assert words in capsys.readouterr().err


def test_an_output_is_needed(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["degrade", str(photo)]) == 2
    assert "an image and a file, or two folders" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["degrade", str(photo.parent), str(photo / "inside")]) != 0
    assert "superres: " in capsys.readouterr().err
