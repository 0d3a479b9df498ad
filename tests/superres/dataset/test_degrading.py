"""Pairs of a data set: layouts that others read, the same bytes in one run or several, errors."""

import gc
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superres.dataset import degrading
from superres.dataset.degrading import PairedSet, PairSettings, make_pairs
from superres.dataset.manifest import MANIFEST
from superres.degrade import DegradeOptions
from superres.errors import BadOption
from superres.networks.torchvision_compat import repair_torchvision

OPTIONS = DegradeOptions("realesrgan", 2, 3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images: two in folders, two in an archive; grey, alpha, a name with dots."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    draw = np.random.default_rng(0)

    def make(mode: str, size: tuple[int, int]) -> Image.Image:
        shape = (size[1], size[0], len(Image.new(mode, (1, 1)).getbands()))
        return Image.fromarray(draw.integers(0, 256, shape, np.uint8).squeeze(), mode)

    make("RGB", (33, 20)).save(folder / "a.1.png")
    make("L", (24, 24)).save(folder / "grey.jpg")
    make("RGBA", (20, 31)).save(folder / "sub" / "veil.webp", lossless=True)
    (folder / "notes.txt").write_text("no image")
    with tarfile.open(folder / "more.tar", "w") as archive:
        for name in ("x.png", "y.png"):
            file = io.BytesIO()
            make("RGB", (16, 18)).save(file, "PNG")
            member = tarfile.TarInfo(name)
            member.size = file.tell()
            file.seek(0)
            archive.addfile(member, file)
    return folder


KEYS = ["a.1", "grey", "more/x", "more/y", "sub/veil"]


def fail(name: str, error: Exception) -> None:
    raise AssertionError(name) from error


def make(source: Path, target: Path, **changes: object) -> PairedSet:
    settings = PairSettings(options=OPTIONS, **changes)  # type: ignore[arg-type]
    return make_pairs(source, target, settings, fail)


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_image(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def test_folders_hold_both_sides_of_every_image(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "pairs"
    assert make(photos, target) == (5, 0, 0)
    assert make(photos, target) == (0, 5, 0)
    expected = {f"{side}/{key}.png" for side in ("hr", "lr") for key in KEYS}
    assert read_all(target).keys() == expected | {MANIFEST}
    head, *records = map(json.loads, (target / MANIFEST).read_text().splitlines())
    assert (head["recipe"], head["seed"]) == ("realesrgan", 3)
    assert [record["name"] for record in records] == KEYS
    assert all(len(record["steps"]) > 4 for record in records)
    for record in records:
        hr, lr = (read_image(target / side / f"{record['name']}.png") for side in ("hr", "lr"))
        assert hr.size == (2 * lr.width, 2 * lr.height) == tuple(record["hr_size"])
        assert hr.mode == lr.mode == ("L" if record["name"] == "grey" else "RGB")
    assert records[-1]["alpha_laid_on_white"]


def test_an_original_is_what_it_was(photos: Path, tmp_path: Path) -> None:
    make(photos, tmp_path / "pairs")
    kept = np.array(read_image(tmp_path / "pairs/hr/a.1.png"))
    assert (kept == np.array(read_image(photos / "a.1.png"))[:20, :32]).all()


@pytest.mark.parametrize("layout", ["folders", "webdataset", "imagefolder"])
def test_a_run_that_was_interrupted_ends_in_the_same_bytes(
    layout: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    make(photos, whole, layout=layout, shard_pairs=2)
    crop, done = degrading.crop_frame, []

    def crash(*given: object) -> object:
        done.append(given)
        if len(done) > 3:
            raise KeyboardInterrupt
        return crop(*given)  # type: ignore[arg-type]

    settings = PairSettings(options=OPTIONS, layout=layout, shard_pairs=2)  # type: ignore[arg-type]
    monkeypatch.setattr(degrading, "crop_frame", crash)
    with pytest.raises(KeyboardInterrupt):
        make_pairs(photos, parts, settings, fail, workers=1)
    monkeypatch.undo()
    with (parts / MANIFEST).open("a") as stream:
        stream.write('{"name": "cut o')  # as a crash leaves it
    rest = make(photos, parts, layout=layout, shard_pairs=2)
    assert rest.kept > 0
    assert rest.made + rest.kept == 5
    assert read_all(parts) == read_all(whole)


def test_workers_and_neighbours_do_not_change_a_pair(photos: Path, tmp_path: Path) -> None:
    settings = PairSettings(options=OPTIONS)
    make_pairs(photos, tmp_path / "one", settings, fail, workers=1)
    make_pairs(photos, tmp_path / "four", settings, fail, workers=4)
    assert read_all(tmp_path / "one") == read_all(tmp_path / "four")
    (photos / "grey.jpg").unlink()
    make_pairs(photos, tmp_path / "fewer", settings, fail)
    name = "lr/sub/veil.png"
    assert read_all(tmp_path / "fewer")[name] == read_all(tmp_path / "one")[name]


def test_basicsr_reads_the_folders(photos: Path, tmp_path: Path) -> None:
    repair_torchvision()
    from basicsr.data.paired_image_dataset import PairedImageDataset

    for path in (photos / "more.tar", photos / "sub/veil.webp"):  # it looks into no folders
        path.unlink()
    make(photos, tmp_path / "pairs")
    pairs = PairedImageDataset(
        {
            "dataroot_gt": str(tmp_path / "pairs/hr"),
            "dataroot_lq": str(tmp_path / "pairs/lr"),
            "io_backend": {"type": "disk"},
            "phase": "val",
            "scale": 2,
        }
    )
    shapes = {tuple(pair["gt"].shape): tuple(pair["lq"].shape) for pair in pairs}
    assert shapes == {(3, 20, 32): (3, 10, 16), (3, 24, 24): (3, 12, 12)}


@pytest.mark.filterwarnings(
    "ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_webdataset_reads_the_archives(photos: Path, tmp_path: Path) -> None:
    import webdataset

    make(photos, tmp_path / "pairs", layout="webdataset", shard_pairs=2)
    shards = [str(path) for path in sorted((tmp_path / "pairs").glob("*.tar"))]
    assert len(shards) == 3
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    gc.collect()  # it leaves the last file open
    assert [sample["json"]["name"] for sample in samples] == KEYS
    for sample in samples:
        height, width, _ = sample["lr.png"].shape
        assert sample["hr.png"].shape == (2 * height, 2 * width, 3)


def test_datasets_reads_the_image_folder(photos: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="large, and needed for this test alone")
    make(photos, tmp_path / "pairs", layout="imagefolder")
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert [len(json.loads(row["steps"])) > 4 for row in loaded] == [True] * 5
    assert loaded[0]["hr"].size == (32, 20)
    assert loaded[0]["lr"].size == (16, 10)


def test_the_image_folder_names_every_file(photos: Path, tmp_path: Path) -> None:
    make(photos, tmp_path / "pairs", layout="imagefolder")
    root = tmp_path / "pairs/train"
    rows = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    assert [row["hr_file_name"] for row in rows] == [f"hr/{key}.png" for key in KEYS]
    assert all((root / row[f"{side}_file_name"]).is_file() for row in rows for side in ("hr", "lr"))


def test_what_fails_is_told_and_tried_again(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes((photos / "a.1.png").read_bytes()[:60])
    (photos / "worse.tar").write_bytes(b"no archive" * 100)
    told: list[str] = []
    for _ in range(2):
        settings = PairSettings(options=OPTIONS)
        made = make_pairs(photos, tmp_path / "pairs", settings, lambda name, _: told.append(name))
        assert made.failed == 2
    assert made.kept == 5
    assert told == ["bad.png", "worse.tar"] * 2


def test_other_settings_do_not_mix(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "pairs"
    make(photos, target)
    other = PairSettings(options=OPTIONS._replace(seed=4))
    with pytest.raises(BadOption, match="seed 4: expected 3, with which"):
        make_pairs(photos, target, other, fail)
    assert make_pairs(photos, target, other, fail, restart=True).made == 5
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    with pytest.raises(BadOption, match="empty folder"):
        make(photos, tmp_path / "used")
    with pytest.raises(BadOption, match="outside"):
        make(photos, photos / "pairs")
    with pytest.raises(BadOption, match="expected a folder with files"):
        make(tmp_path / "used", tmp_path / "none")
    with pytest.raises(BadOption, match="expected a folder"):
        make(photos / "a.1.png", tmp_path / "none")


def test_names_that_differ_in_their_ending_alone_are_refused(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(photos / "grey.png")
    with pytest.raises(BadOption, match="more than its ending"):
        make(photos, tmp_path / "pairs")


def test_an_archive_cannot_lead_out_of_the_folder(photos: Path, tmp_path: Path) -> None:
    data = (photos / "a.1.png").read_bytes()
    with tarfile.open(photos / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../../evil.png")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    told: list[str] = []
    settings = PairSettings(options=OPTIONS)
    make_pairs(photos, tmp_path / "a/pairs", settings, lambda _, error: told.append(str(error)))
    assert len(told) == 1
    assert "leads out of it" in told[0]
    assert not list(tmp_path.rglob("evil.png"))
