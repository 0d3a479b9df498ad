import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_compares_what_was_expected_with_what_was_taken(tmp_path: Path) -> None:
    output = tmp_path / "cost.json"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cost", "--quick"]
    done = subprocess.run(
        [*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    assert {row["wanted"] for row in report["rows"]} == {"png", "webp"}
    assert all(row["measured_mb"] > 1 and row["measured_seconds"] > 0 for row in report["rows"])
    assert report["summary"]["memory_error"] >= 0
    assert "bicubic_pp.x3" in done.stdout


def test_it_prints_the_figures_of_the_models() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cost", "--seconds"]
    done = subprocess.run(
        [*command, "lanczos.x2"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    name, seconds = done.stdout.strip().rstrip(",").split(": ")
    assert name == '"lanczos.x2"' and float(seconds) > 0
