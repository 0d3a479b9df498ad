"""PSNR and SSIM of models on evaluation sets, next to bicubic interpolation.

    python -m benchmarks.quality --sets FOLDER [FOLDER ...] [--models NAME ...] [--weights FOLDER]

A model whose weights are not at hand is left out with a line that says so. Prints a table and
writes benchmarks/results/quality.json. Protocol: evaluation/protocol.py.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.machine import machine
from evaluation.protocol import Pixels, bicubic, crop_to_multiple, list_images, psnr, read_rgb, ssim
from superres.catalogue import CATALOGUE
from superres.errors import Misconfigured
from superres.inference.device import Device, find_device
from superres.model_loader import NetworkModel
from superres.model_spec import NetworkSpec
from superres.weights.store import Store

RESULTS = Path(__file__).parent / "results"


class Score(NamedTuple):
    """Means over a set of images."""

    psnr: float
    ssim: float


def main() -> None:
    """Measure as the command line says."""
    options = arguments()
    rows = []
    for name in options.models:
        spec = CATALOGUE[name]
        try:
            model = NetworkModel(
                spec, Device(find_device(options.device)), store(), options.weights
            )
        except Misconfigured as error:
            print(f"{name}: left out: {error}")
            continue
        for folder in options.sets:
            result, baseline = measured(model, spec, folder)
            rows.append(row(name, folder, result, baseline))
            print(line(rows[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "rows": rows}
    (RESULTS / options.output).write_text(json.dumps(report, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of HR images")
    parser.add_argument("--models", nargs="+", default=list(CATALOGUE), choices=list(CATALOGUE))
    parser.add_argument("--weights", type=Path, help="a file, for one model, or a folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", default="quality.json", help="file in benchmarks/results")
    return parser.parse_args()


def store() -> Store:
    """Return the user's cache; nothing is downloaded for a benchmark."""
    return Store.from_environment(offline=True)


def measured(model: NetworkModel, spec: NetworkSpec, folder: Path) -> tuple[Score, Score]:
    """Return the model's score and that of bicubic interpolation."""
    results, baselines = [], []
    for path in list_images(folder):
        hr = crop_to_multiple(read_rgb(path), spec.scale)
        height, width = hr.shape[0] // spec.scale, hr.shape[1] // spec.scale
        lr = bicubic(hr, width, height)
        results.append(score(model.upscaler().upscale(lr).pixels, hr, spec.scale))
        baselines.append(score(bicubic(lr, hr.shape[1], hr.shape[0]), hr, spec.scale))
    return mean(results), mean(baselines)


def score(result: Any, hr: Pixels, scale: int) -> Score:
    """PSNR and SSIM of one image."""
    return Score(psnr(result, hr, scale), ssim(result, hr, scale))


def mean(scores: list[Score]) -> Score:
    """Return the mean of each number."""
    values = np.mean(scores, axis=0)
    return Score(float(values[0]), float(values[1]))


def row(name: str, folder: Path, result: Score, baseline: Score) -> dict[str, Any]:
    """Return one line of the report."""
    return {
        "model": name,
        "set": folder.name,
        "psnr": round(result.psnr, 3),
        "ssim": round(result.ssim, 4),
        "bicubic_psnr": round(baseline.psnr, 3),
        "gain_db": round(result.psnr - baseline.psnr, 3),
    }


def line(made: dict[str, Any]) -> str:
    """Return one line of the table."""
    return (
        f"{made['model']:28} {made['set']:8} {made['psnr']:7.3f} dB {made['ssim']:.4f}  "
        f"bicubic {made['bicubic_psnr']:7.3f} dB  gain {made['gain_db']:+.3f} dB"
    )


if __name__ == "__main__":
    main()
