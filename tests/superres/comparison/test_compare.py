"""The command: measures, writes, goes on where it stopped, and refuses what cannot be."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superres.cli.main import WRONG_OPTIONS, main

OPTIONS = ["--no-service", "--sides", "16", "32", "--max-seconds", "1"]
METRICS = ["--metrics", "psnr", "ssim", "niqe", "score"]
MODELS = ["--models", "bicubic_pp.x4", "lanczos.x4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two models on one small photo."""
    root = tmp_path_factory.mktemp("comparison")
    photos = root / "originals"
    photos.mkdir()
    from skimage import data

    Image.fromarray(data.astronaut()[:208, 100:340]).save(photos / "one <&> photo.png")
    assert compare(root) == 0
    return root


def compare(root: Path, *more: str) -> int:
    output = ["-o", str(root / "out"), "--sets", str(root / "originals")]
    image = [str(root / "originals/one <&> photo.png"), "--originals"]
    return main(["compare", *image, *output, *MODELS, *OPTIONS, *METRICS, *more])


def read(root: Path) -> dict[str, dict[str, float]]:
    cells: dict[str, dict[str, float]] = json.loads((root / "out/report.json").read_text())["cells"]
    return cells


def test_every_figure_of_the_page_is_in_a_cell(folder: Path) -> None:
    page = (folder / "out/report.html").read_text()
    cells = read(folder)
    figures = re.findall(r'<t[dh][^>]*? data-value="([^"]+)" data-cell="([^"]+)"', page)
    assert len(figures) > 40
    for value, name in figures:
        cell = cells[html.unescape(name)]
        values = {**cell, **cell.get("mean", {})}.values()  # type: ignore[dict-item]
        known = [v for v in values if isinstance(v, int | float)]
        if name.startswith("cost"):
            side = int(name.rpartition("/")[2].partition("x")[0])
            known.append(cell["seconds"] / side**2 * 1e6)
        if name.startswith("quality"):  # of one image, or the mean of all damages
            continue
        assert any(abs(float(value) - k) < 1e-9 * max(abs(k), 1) for k in known), (value, name)


def test_the_page_needs_nothing_else(folder: Path) -> None:
    page = (folder / "out/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "one <&> photo" not in page and "one &lt;&amp;&gt; photo" in page


def test_again_nothing_is_measured_and_all_is_equal(folder: Path) -> None:
    files = sorted((folder / "out/cells").rglob("*.json"))
    before = {file: file.stat().st_mtime_ns for file in files}
    cells = read(folder)
    assert compare(folder) == 0
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert read(folder) == cells


def test_measured_anew_quality_is_equal(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "originals", tmp_path / "originals")
    assert compare(tmp_path, "--damages", "noise 10") == 0
    first, second = read(folder), read(tmp_path)
    quality = [name for name in second if name.startswith("quality")]
    assert len(quality) == 3
    assert all(first[name] == second[name] for name in quality)


def test_what_would_take_too_long_is_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "originals", tmp_path / "originals")
    assert compare(tmp_path, "--max-seconds", "0.2") == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert any("expected, more than 0" in reason for reason in report["left_out"].values())
    assert "expected, more than" in (tmp_path / "out/report.md").read_text()


def test_the_strip_shows_input_results_and_original(folder: Path) -> None:
    strips = sorted((folder / "out/strips").glob("*.png"))
    assert len(strips) == 2  # clean, JPEG
    strip = np.asarray(Image.open(strips[1]))
    panels = 5  # input, bicubic, two models, original
    assert strip.shape[1] % 4 == 0 and strip.shape[0] > strip.shape[1] // 4 * (panels > 4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--models", "nothing"], "model"),
        (["--sets", "/nowhere"], "--sets"),
        (["--weights", "bicubic_pp.x4"], "--weights"),
        (["--metrics", "beauty"], "--metrics"),
        (["--damages", "rain"], "--damages"),
        (["--sides", "0"], "--sides"),
        (["--max-seconds", "nan"], "--max-seconds"),
        (["--limit", "-1"], "--limit"),
        (["/nowhere.png"], "/nowhere.png"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "-o", str(tmp_path / "out"), *options]) == WRONG_OPTIONS
    assert told in capsys.readouterr().err


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "file", "set5"),
    [
        pytest.param("dipnet.x4", "DIPNet.pth", (31.81, 0.8898), marks=pytest.mark.slow),
        pytest.param("lapsrn.x2", "LapSRN_x2.safetensors", (37.49, 0.9587), marks=pytest.mark.slow),
        ("bicubic_pp.official-x3", "bicubic_pp_x3.safetensors", (31.77, 0.8929)),
    ],
)
def test_set5_is_as_verified(
    name: str, file: str, set5: tuple[float, float], tmp_path: Path, shared_data: Path
) -> None:
    weights, folder = shared_data / "weights" / file, shared_data / "eval/Set5"
    options = [*OPTIONS, "--max-seconds", "20", "--damages", "clean", "--metrics", "psnr", "ssim"]
    output = ["-o", str(tmp_path), "--weights", f"{name}={weights}", "--sets", str(folder)]
    image = str(folder / "bird.png")
    assert main(["compare", image, *output, "--models", name, *options]) == 0
    cells = json.loads((tmp_path / "report.json").read_text())["cells"]
    scale = name[-1]
    found = cells[f"quality/{name}/cpu-fp32/Set5 clean"]["mean"]
    bicubic = {"2": 33.68, "3": 30.41, "4": 28.43}[scale]
    base = cells[f"quality/bicubic.x{scale}/cpu-fp32/Set5 clean"]["mean"]
    assert found["psnr"] == pytest.approx(set5[0], abs=0.02)
    assert found["ssim"] == pytest.approx(set5[1], abs=0.0003)
    assert base["psnr"] == pytest.approx(bicubic, abs=0.02)


@pytest.mark.flow
def test_documents_per_second_through_the_flow(tmp_path: Path) -> None:
    from superres.comparison.cells import CellStore
    from superres.comparison.contenders import list_contenders
    from superres.comparison.loads import list_loads, measure_loads
    from superres.comparison.settings import CompareSettings
    from superres.weights.store import Store

    names = ("bicubic_pp.x4", "lanczos.x4")
    contenders = list_contenders(names, (4,), Store.from_environment(offline=True))
    loads = list_loads(CompareSettings(tmp_path, load_seconds=0.5), contenders)
    store = CellStore(tmp_path)
    machine = {"processor": "any", "device": "cpu"}
    assert list(measure_loads(loads, store, machine, 60)) == loads
    assert not list(store.list_left_out())
    assert [load.clients for load in loads] == [1, 8, 1, 8]
    for cell in store.cells.values():
        assert cell.values["documents_per_second"] > 0
        assert cell.values["documents"] >= 1
    kept = CellStore(tmp_path)
    assert list(measure_loads(loads, kept, machine, 60)) == loads
    assert kept.cells == store.cells
