import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import ENOUGH, NO_DEVICE, STOPPED, Report, main, measure, parsed
from benchmarks.gpu.cases import Clock

TRY = ["--device", "cpu", "--quick", "--models", "bicubic_pp.x3", "dipnet.x4"]


def test_the_script_runs_through_where_there_is_no_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, trace = tmp_path / "results" / "gpu.json", tmp_path / "trace.json"
    assert main([*TRY, "--output", str(output), "--trace", str(trace)]) == ENOUGH
    report = json.loads(output.read_text())
    assert report["complete"] and not report["left_out"]
    assert report["machine"]["torch"] == torch.__version__
    assert {row["model"] for row in report["correctness"]} == {"bicubic_pp.x3", "dipnet.x4"}
    assert all(row["largest_difference"] <= 1 for row in report["correctness"])
    assert report["peaks"]["fp32"] > 0
    ways = {(row["model"], row["way"], row["batch"]) for row in report["rows"]}
    assert {("dipnet.x4", "ours auto", 4), ("dipnet.x4", "eager fp32", 1)} <= ways
    assert all(row["device_seconds"] > 0 and row["of_peak"] > 0 for row in report["rows"])
    assert "traceEvents" in json.loads(trace.read_text())
    assert "dipnet.x4" in capsys.readouterr().out


def test_what_there_is_no_time_for_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parsed([*TRY, "--output", str(tmp_path / "gpu.json")])
    report = Report(options)
    measure(report, Clock(0), options)
    assert report.data["correctness"] and not report.data["rows"]
    assert "left out: bicubic_pp.x3: ours auto, batch 1: " in capsys.readouterr().out


def test_the_time_ends_whatever_is_running_and_what_there_is_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    command = [*TRY, "--output", str(output), "--seconds", "0.01"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == STOPPED, ended.stderr
    assert "left out: the rest: the time is over" in ended.stdout
    assert not json.loads(output.read_text())["complete"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_without_cuda_it_says_so_and_what_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / "gpu.json")]) == NO_DEVICE
    said = capsys.readouterr().out
    assert "no CUDA device" in said and "--device cpu --quick" in said
    assert not list(tmp_path.iterdir())
