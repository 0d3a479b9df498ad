"""Data sets enlarged: names and labels kept, archives rewritten, runs that go on."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from superres.cli.main import main


def write_png(size: tuple[int, int] = (12, 9), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(file, kind)
    return file.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def read_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An image folder with labels, a picture in a folder, and an archive."""
    folder = tmp_path / "set"
    (folder / "train").mkdir(parents=True)
    (folder / "train/a.JPG").write_bytes(write_png(kind="JPEG"))
    (folder / "train/metadata.jsonl").write_text('{"file_name": "a.JPG", "text": "red"}\n')
    (folder / "b.png").write_bytes(write_png((7, 5)))
    write_tar(
        folder / "000.tar",
        {"x.cls": b"3", "x.png": write_png(), "y.cls": b"4", "y.png": write_png((5, 6))},
    )
    return folder


def enlarge(source: Path, *more: str) -> int:
    target = source.with_name("large")
    given = ["upscale", str(source), "-o", str(target), "--dataset", "--model", "bicubic_pp.x2"]
    return main([*given, *more])


def test_images_become_larger_and_everything_else_stays(source: Path) -> None:
    assert enlarge(source) == 0
    target = source.with_name("large")
    assert read_size((target / "train/a.JPG").read_bytes()) == (24, 18)
    assert read_size((target / "b.png").read_bytes()) == (14, 10)
    labels = "train/metadata.jsonl"
    assert (target / labels).read_bytes() == (source / labels).read_bytes()
    members = read_tar(target / "000.tar")
    assert list(members) == ["x.cls", "x.png", "y.cls", "y.png"]
    assert (members["x.cls"], read_size(members["y.png"])) == (b"3", (10, 12))


def test_a_second_run_makes_only_what_is_missing(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "bad.png").write_bytes(write_png()[:40])
    assert enlarge(source) == 1
    said = capsys.readouterr()
    assert "4 images enlarged, 0 there before, 1 failed, 3 other files copied" in said.out
    assert said.err.startswith("bad.png: ")
    (source / "bad.png").write_bytes(write_png((3, 3)))
    assert enlarge(source) == 0
    assert "1 images enlarged, 4 there before, 0 failed" in capsys.readouterr().out
    assert enlarge(source, "--quality", "50") == 2
    assert 'quality "50": expected 95, with which' in capsys.readouterr().err
    assert enlarge(source, "--quality", "50", "--restart") == 0


def test_an_archive_with_a_bad_image_is_not_written(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tar(source / "000.tar", {"x.png": write_png(), "y.png": b"no image"})
    assert enlarge(source) == 1
    assert "000.tar/y.png: " in capsys.readouterr().err
    target = source.with_name("large")
    assert not (target / "000.tar").exists()
    assert not list(target.glob("*.part"))
    names = [
        json.loads(line).get("name")
        for line in (target / "manifest.jsonl").read_text().splitlines()
    ]
    assert "000.tar" not in names
    assert "b.png" in names


def test_an_ending_follows_the_format(source: Path) -> None:
    assert enlarge(source, "--format", "webp") == 0
    target = source.with_name("large")
    assert (target / "train/a.webp").is_file()
    assert list(read_tar(target / "000.tar")) == ["x.cls", "x.webp", "y.cls", "y.webp"]


def test_what_it_takes_is_said(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscale", str(source), "--dataset"]) == 2
    assert "--output beside it" in capsys.readouterr().err
    assert main(["upscale", str(source), "--restart"]) == 2
    assert "--dataset beside it" in capsys.readouterr().err
    (source / "b.jpg").write_bytes(write_png(kind="JPEG"))
    assert enlarge(source) == 2
    assert "names that differ before their endings" in capsys.readouterr().err
