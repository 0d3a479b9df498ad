import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.clients import Load, Timing, called
from benchmarks.files import file
from benchmarks.service import compared, percentile

ROOT = Path(__file__).parents[2]
PROTOCOLS = {"direct", "grpc", "http", "websocket"}


def test_the_engine_answers_every_caller() -> None:
    load = Load("direct", 3, 10.0, file(20, 10, "png"), most=2)
    timing = called(load, "bicubic_pp.x3")
    assert len(timing.latencies) == 6
    assert 0 < max(timing.latencies) <= timing.seconds


def test_every_side_is_compared_with_the_engine() -> None:
    timings = {"direct": Timing([0.002, 0.004, 0.003], 0.009), "http": Timing([0.008], 0.01)}
    direct, http = compared(timings, 1)
    assert direct["overhead_p50_ms"] == 0 and direct["documents_per_second"] == 333.3
    assert http["overhead_p50_ms"] == 5.0 and http["ratio_p50"] == 2.67


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (50.0, 99.0)
    assert percentile([1.0], 0.99) == 1.0


@pytest.mark.slow
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    output = tmp_path / "service.json"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.service", "--quick"]
    done = subprocess.run(
        [*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    for picture in ("64x64 PNG", "640x480 JPEG"):
        rows = report[picture]
        assert {row["protocol"] for row in rows} == PROTOCOLS
        assert {row["clients"] for row in rows} == {1, 2}
        assert all(0 < row["least_ms"] <= row["p50_ms"] <= row["p99_ms"] for row in rows)
    assert report["fairness"]["alone_requests"] > 0
    assert {row["bytes"] for row in report["gateway"]} == {1_000, 25_000_000}
