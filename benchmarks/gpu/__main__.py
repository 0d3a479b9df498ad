"""How fast the networks are on a GPU, and whether the fast ways give the right images.

    python -m benchmarks.gpu [--seconds 480] [--models NAME ...] [--trace FILE] [--output FILE]

One command for a machine that has a GPU, torch, numpy and Pillow; what else is missing costs a line
each. First each network is compared with itself in fp32 on the CPU, then matrix products give the
peak that everything is held against, then everything is timed: on the device alone, with images
that lie there already (ours with the conversions from and to whole numbers, others without), and
from whole numbers on the host to whole numbers on the host. After
`--seconds` whatever is still running is given up. Prints tables and writes
benchmarks/results/gpu.json, as far as it came. `--device cpu --quick` tries the script itself.
"""

import argparse
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.cases import CASES, Case, Clock, LeftOut, cases_for
from benchmarks.gpu.correctness import compared
from benchmarks.gpu.peak import PEAKS, matmul_peak
from benchmarks.gpu.ways import WAYS, Way, timed, traced
from evaluation.machine import machine
from superres.errors import SuperresError

RESULTS = Path(__file__).parents[1] / "results"
ENOUGH, NO_DEVICE, STOPPED = 0, 2, 3  # exit codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says; the exit code."""
    options = parsed(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA device here (torch {torch.__version__}); --device cpu --quick tries this")
        return NO_DEVICE
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    report = Report(options)
    clock = Clock(options.seconds)
    guard = threading.Timer(options.seconds, report.give_up)
    guard.daemon = True
    guard.start()
    try:
        measure(report, clock, options)
    finally:
        guard.cancel()
        report.write(complete=not report.data["left_out"])
    return ENOUGH


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--models", nargs="+", default=[case[0] for case in CASES])
    parser.add_argument("--quick", action="store_true", help="tiny images, one run each")
    parser.add_argument("--seconds", type=float, default=480, help="for everything together")
    parser.add_argument("--trace", type=Path, help="write a trace of the first model here")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    return parser.parse_args(arguments)


class Report:
    """What was measured so far, printed line by line and written at the end."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.output: Path = options.output
        self.data: dict[str, Any] = {
            "machine": machine(),
            "device": options.device,
            "quick": options.quick,
            "complete": False,
            "correctness": [],
            "peaks": {},
            "rows": [],
            "left_out": [],
        }

    def leave_out(self, what: str, why: object) -> None:
        """Note and tell that something was not measured."""
        line = f"left out: {what}: {why}"
        self.data["left_out"].append(line)
        print(line, flush=True)

    def write(self, *, complete: bool) -> None:
        """Everything so far, as a file."""
        self.data["complete"] = complete
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_text(json.dumps(self.data, indent=1) + "\n")

    def give_up(self) -> None:
        """Keep what there is and end, whatever is running: the time is over."""
        self.leave_out("the rest", "the time is over")
        self.write(complete=False)
        sys.stdout.flush()
        os._exit(STOPPED)


def measure(report: Report, clock: Clock, options: argparse.Namespace) -> None:
    """Correctness, peaks, speed, and a trace if one is wanted."""
    device = torch.device(options.device)
    cases = list(cases_for(options.models, device, options.quick, report.leave_out))
    print("\nlargest difference from fp32 on the CPU, in 1/255, and PSNR")
    for case in cases:
        for row in attempts(report, f"{case.spec.name}: correctness", compared(case)):
            report.data["correctness"].append(row)
            print(difference_line(row), flush=True)
    print("\npeak of matrix products")
    for name in PEAKS:
        report.data["peaks"][name] = peak = matmul_peak(name, device, clock.share(options.quick))
        print(f"{name:6} {peak / 1e12:8.2f} TFLOP/s" if peak else f"{name:6} not on this device")
    print(f"\n{HEADER}")
    for case, way, batch in plan(cases):
        measure_one(report, clock, options, case, way, batch)
    if options.trace and cases:
        traced(cases[0], options.trace)


def plan(cases: Sequence[Case]) -> Iterator[tuple[Case, Way, int]]:
    """Yield what is timed, the most telling first; compiling comes last because it takes
    longest.
    """
    for slow in (False, True):
        for case in cases:
            for way in WAYS:
                if way.slow == slow and way.takes(case):
                    batches = case.batches if way.batched else case.batches[:1]
                    yield from ((case, way, batch) for batch in batches)


def measure_one(
    report: Report, clock: Clock, options: argparse.Namespace, case: Case, way: Way, batch: int
) -> None:
    """Measure and print one line of the table."""
    what = f"{case.spec.name}: {way.name}, batch {batch}"
    if clock.left() < way.least_seconds:
        report.leave_out(what, f"{clock.left():.0f} s are left, {way.least_seconds:.0f} s may go")
        return
    budget = clock.share(options.quick)
    for row in attempts(report, what, iter_once(lambda: timed(case, way, batch, budget))):
        related(row, report.data)
        report.data["rows"].append(row)
        print(row_line(row), flush=True)


def iter_once(make: Callable[[], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what `make` gives, made when it is asked for."""
    yield make()


def attempts(report: Report, what: str, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield `rows` as far as they can be made; the reason why no further is noted."""
    try:
        yield from rows
    except (LeftOut, ImportError, RuntimeError, ValueError, SuperresError) as error:
        report.leave_out(what, next(iter(str(error).splitlines()), type(error).__name__)[:200])


def related(row: dict[str, Any], data: dict[str, Any]) -> None:
    """Add to `row` its share of the peak, and how many times as fast ours is."""
    peak = data["peaks"].get(row["peak"])
    seconds = row["device_seconds"] or row["seconds"]
    if peak and seconds:
        row["of_peak"] = row["operations"] / seconds / peak
    ours = [
        other
        for other in data["rows"]
        if (other["model"], other["batch"]) == (row["model"], row["batch"])
        and other["way"] == "ours auto"
    ]
    for key, name in (("device_seconds", "ours_faster_on_device"), ("seconds", "ours_faster")):
        if ours and row[key] and ours[0][key]:
            row[name] = row[key] / ours[0][key]


# Lines

HEADER = (
    f"{'model':28} {'size':>10} {'way':18} {'batch':>5} {'device':>10} {'whole':>10} "
    f"{'TFLOP/s':>8} {'of peak':>8} {'MB':>7} {'ours x':>7}"
)


def difference_line(row: dict[str, Any]) -> str:
    """Return one line about correctness."""
    return (
        f"{row['model']:28} {row['way']:18} {row['largest_difference']:3d}  "
        f"{row['psnr']:6.1f} dB  {row['weights']}"
    )


def row_line(row: dict[str, Any]) -> str:
    """Return one line about speed; times are milliseconds per image."""
    seconds = row["device_seconds"] or row["seconds"]
    rate = f"{row['operations'] / seconds / 1e12:8.2f}" if seconds else " " * 8
    share = f"{row['of_peak']:8.1%}" if "of_peak" in row else " " * 8
    faster = row.get("ours_faster", row.get("ours_faster_on_device"))
    memory = f"{row['peak_mb']:7.0f}" if row["peak_mb"] is not None else " " * 7
    return (
        f"{row['model']:28} {row['size']:>10} {row['way']:18} {row['batch']:5d} "
        f"{milliseconds(row['device_seconds'])} {milliseconds(row['seconds'])} "
        f"{rate} {share} {memory} {f'{faster:7.2f}' if faster else ' ' * 7}"
    )


def milliseconds(seconds: float | None) -> str:
    """Ten characters."""
    return f"{seconds * 1e3:8.3f}ms" if seconds else " " * 10


if __name__ == "__main__":
    sys.exit(main())
