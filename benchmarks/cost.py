"""How far the cost model is off: estimated and measured memory and seconds of real requests.

    python -m benchmarks.cost [--quick] [--full]
    python -m benchmarks.cost --seconds [NAME ...]

Each case runs in a fresh process, decoded, enlarged and encoded there, on the CPU. Memory is the
process's peak above what it had after a tiny image went the same way; seconds are also compared
after the model's pace was learned from another run of the case. Models without weights at hand have
random ones, which cost the same. `--seconds` prints the seconds per megapixel that
the rows of the catalogue have.

Prints the relative errors (estimated beside measured, above 0 where too much was expected) and
writes benchmarks/results/cost.json.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.files import file
from evaluation.footprint import peak, start_afresh
from evaluation.machine import machine
from superres.catalogue import CATALOGUE
from superres.errors import Misconfigured
from superres.geometry import Size
from superres.model_spec import NetworkSpec, Speed

RESULTS = Path(__file__).parent / "results"
MEBIBYTE = 2**20
FORMATS = ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")


class Case(NamedTuple):
    """A request: an image of `size` in format `given`, answered in format `wanted`."""

    model: str
    size: tuple[int, int]
    given: str
    wanted: str


EMBEDDED = "bicubic_pp.x3"
HEAD = (
    "model                           size   in out    MB est   meas error    s est   meas error "
    "learned"
)
QUICK = (Case(EMBEDDED, (900, 600), "jpeg", "png"), Case(EMBEDDED, (300, 200), "png", "webp"))
USUAL = (
    *(Case(EMBEDDED, (1600, 1200), "jpeg", wanted) for wanted in FORMATS),
    *(Case(EMBEDDED, (1600, 1200), given, "jpeg") for given in ("png", "webp", "tiff", "avif")),
    Case(EMBEDDED, (320, 240), "jpeg", "jpeg"),
    Case("bicubic_pp.x2", (1600, 1200), "png", "png"),
    Case("bicubic_pp.x4", (800, 600), "jpeg", "png"),
    Case("dipnet.x4", (320, 240), "jpeg", "png"),
    Case("lapsrn.x2", (240, 180), "jpeg", "png"),
    Case("lapsrn.x4", (160, 120), "jpeg", "png"),
    Case("realesrgan.animevideo-x4", (320, 240), "jpeg", "png"),
    Case("realesrgan.general-x4", (240, 180), "jpeg", "jpeg"),
    Case("realesrgan.x4plus", (96, 64), "jpeg", "png"),
    Case("swinir.lightweight-x2", (96, 64), "jpeg", "png"),
)
FULL = (
    Case(EMBEDDED, (4000, 3000), "jpeg", "jpeg"),
    Case(EMBEDDED, (4000, 3000), "jpeg", "png"),
    Case(EMBEDDED, (4000, 3000), "png", "webp"),
    Case("dipnet.x4", (800, 600), "jpeg", "png"),
    Case("lapsrn.x4", (480, 320), "jpeg", "png"),
    Case("realesrgan.animevideo-x4", (960, 540), "jpeg", "png"),
    Case("realesrgan.x4plus", (320, 240), "jpeg", "png"),
    Case("realesrgan.x2plus", (320, 240), "jpeg", "png"),
    Case("swinir.real-x4", (160, 120), "jpeg", "png"),
    Case("swinir.lightweight-x2", (320, 240), "jpeg", "png"),
)


def main() -> None:
    """Measure as the command line says."""
    options = arguments()
    if options.seconds is not None:
        print_seconds(options.seconds or list(CATALOGUE))
        return
    cases = QUICK if options.quick else (*USUAL, *(FULL if options.full else ()))
    print(
        f"{'model':26} {'size':>9} {'in':>4} out    MB est meas error    s est meas error learned"
    )
    rows = []
    for case in cases:
        rows.append(row(case, fresh(case)))
        print(line(rows[-1]), flush=True)
    summary = {
        name: round(statistics.median(abs(r[name]) for r in rows), 3)
        for name in ("memory_error", "seconds_error", "learned_error")
    }
    summary["memory_least"] = min(r["memory_error"] for r in rows)
    print(f"medians of the absolute errors, and the least of memory: {summary}")
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "summary": summary, "rows": rows}
    (RESULTS / options.output).write_text(json.dumps(report, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two cases, for a test")
    parser.add_argument("--full", action="store_true", help="larger images and slow models too")
    parser.add_argument("--seconds", nargs="*", choices=list(CATALOGUE), metavar="NAME")
    parser.add_argument("--output", default="cost.json", help="file in benchmarks/results")
    return parser.parse_args()


class Measured(NamedTuple):
    """Bytes and seconds, estimated and measured; `model_*` are the model's part of the seconds."""

    bytes: int
    seconds: float
    model_seconds: float
    estimated_bytes: int
    estimated_seconds: float
    estimated_model_seconds: float


def fresh(case: Case) -> Measured:
    """Return what `measured` finds in a process that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (case, file(*case.size, case.given)))


def measured(case: Case, data: bytes) -> Measured:
    """Return the case, estimated and done; `data` is its image, which would take memory
    to make.
    """
    from superres.codecs.decode import decode
    from superres.codecs.encode import FORMATS as WRITTEN
    from superres.codecs.probe import probe
    from superres.estimation.cost import (
        ExecutionTarget,
        Workload,
        estimate_network,
        estimate_request,
        sum_host_bytes,
    )
    from superres.pipeline import OutputOptions, upscale

    spec = CATALOGUE[case.model]
    upscaler = ready(spec)
    options = OutputOptions(WRITTEN[case.wanted])
    upscale(decode(tiny(case.given)), upscaler, options)
    place = ExecutionTarget(upscaler.device.free(spec.cpu_bytes))
    workload = Workload(
        len(data),
        probe(data),
        case.wanted,
        spec.scale,
        lambda size: estimate_network(size, spec, place),
    )
    expected = estimate_request(workload)
    before = start_afresh()
    started = time.perf_counter()
    # Not held here: the pipeline lets go of the image it is given.
    made = upscale(decode(data), upscaler, options)
    seconds = time.perf_counter() - started
    return Measured(
        int((peak() - before) * 2**20),
        seconds,
        made.cost.seconds,
        sum_host_bytes(expected, place),
        expected.seconds,
        expected.model_seconds,
    )


def tiny(kind: str) -> bytes:
    """Return a file for the first request."""
    out = BytesIO()
    Image.new("RGB", (48, 32), "teal").save(out, kind)
    return out.getvalue()


def ready(spec: NetworkSpec) -> Any:
    """Return the model's Upscaler on the CPU."""
    import torch

    from superres.inference.device import Device
    from superres.inference.upscaler import NetworkUpscaler
    from superres.model_loader import NetworkModel
    from superres.weights.store import Store

    device = Device(torch.device("cpu"))
    try:
        return NetworkModel(spec, device, Store.from_environment(offline=True)).upscaler()
    except Misconfigured:
        torch.manual_seed(0)
        return NetworkUpscaler(spec, spec.build(), device)


def row(case: Case, found: Measured) -> dict[str, Any]:
    """Return one line of the report. Errors are relative to what was measured."""
    other = fresh(case)
    pace = other.model_seconds / other.estimated_model_seconds
    learned = found.estimated_seconds + found.estimated_model_seconds * (pace - 1)
    return {
        "model": case.model,
        "size": f"{case.size[0]}x{case.size[1]}",
        "given": case.given,
        "wanted": case.wanted,
        "estimated_mb": round(found.estimated_bytes / MEBIBYTE, 1),
        "measured_mb": round(found.bytes / MEBIBYTE, 1),
        "memory_error": round(found.estimated_bytes / max(found.bytes, MEBIBYTE) - 1, 3),
        "estimated_seconds": round(found.estimated_seconds, 4),
        "measured_seconds": round(found.seconds, 4),
        "seconds_error": round(found.estimated_seconds / found.seconds - 1, 3),
        "learned_seconds": round(learned, 4),
        "learned_error": round(learned / found.seconds - 1, 3),
    }


def line(made: dict[str, Any]) -> str:
    """Return one line of the table."""
    return (
        f"{made['model']:26} {made['size']:>9} {made['given']:>4} {made['wanted']:4} "
        f"{made['estimated_mb']:8.1f} {made['measured_mb']:6.1f} {made['memory_error']:+6.0%} "
        f"{made['estimated_seconds']:8.3f} {made['measured_seconds']:6.3f} "
        f"{made['seconds_error']:+6.0%} {made['learned_error']:+6.0%}"
    )


# The table of superres/estimation/calibration.py

EDGES = {Speed.FAST: 320, Speed.MEDIUM: 96, Speed.SLOW: 64}  # pixels a side


def print_seconds(names: list[str]) -> None:
    """Print seconds per megapixel that passes through each network, as they belong in the table."""
    for name in names:
        spec = CATALOGUE[name]
        edge = EDGES[spec.speed]
        upscaler = ready(spec)
        pixels = np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8)
        computed = upscaler.plan(Size(edge, edge), 0, None).computed
        best = min(upscaler.upscale(pixels).cost.seconds for _ in range(3))
        print(f'    "{name}": {best / computed * 1e6:.3g},', flush=True)


if __name__ == "__main__":
    main()
