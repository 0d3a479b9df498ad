import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ASKED = ("ours", "ours-1.2gb", "eager", "realesrganer-128", "spandrel")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    output = tmp_path_factory.mktemp("speed") / "speed.json"
    models = ("bicubic_pp.x3", "realesrgan.animevideo-x4")
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--threads", "1"]
    command += ["--models", *models, "--contenders", *ASKED, "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(model in done.stdout for model in models)
    return json.loads(output.read_text())


def test_every_contender_is_measured_or_says_why_not(report: Any) -> None:
    bicubic, anime = report["models"]
    assert set(anime["rows"]) == set(ASKED)
    assert set(bicubic["rows"]) == {"ours", "ours-1.2gb", "eager"}
    assert bicubic["unavailable"] == {"spandrel": "spandrel does not know this network"}


def test_all_figures_of_a_row_fit_together(report: Any) -> None:
    for model in report["models"]:
        for row in model["rows"].values():
            work = row["gflops"] * 1e9 * row["seconds"]
            assert work == pytest.approx(model["operations"], rel=0.05)
            assert 0 < row["network_seconds"] <= row["seconds"]
            assert row["computed_per_pixel"] >= 1


def test_ours_and_a_peer_that_computes_the_whole_give_the_plain_picture(report: Any) -> None:
    rows = report["models"][1]["rows"]
    assert rows["eager"]["largest_difference"] == 0
    assert rows["ours"]["largest_difference"] <= 1
    assert rows["spandrel"]["largest_difference"] <= 1


def test_a_peer_that_pads_computes_more_than_was_asked(report: Any) -> None:
    rows = report["models"][1]["rows"]
    assert rows["realesrganer-128"]["computed_per_pixel"] == pytest.approx(
        106 * 74 / (96 * 64), 1e-3
    )


def test_goals_stand_beside_what_was_measured(report: Any) -> None:
    (goal,) = report["goals"]
    row = report["models"][1]["rows"]["ours"]
    assert goal["measured"] == row["network_of_peak"]
    assert goal["met"] == (row["network_of_peak"] >= 0.9)
