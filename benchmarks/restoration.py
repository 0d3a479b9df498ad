"""What the steps of restoration gain: PSNR on damaged images, before and after, beside OpenCV's
non-local means.

python -m benchmarks.restoration --images ../shared/data/eval/BSD100 [--limit 20] [--output FILE]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from evaluation.damages import add_noise, compress
from evaluation.machine import machine
from evaluation.protocol import Pixels, list_images, read_rgb
from superres.catalogue import find_model
from superres.catalogue.restorers import RESTORERS
from superres.inference.device import Device, find_device
from superres.model_loader import NetworkModel
from superres.restoration.chained_model import Blending
from superres.restoration.loading import chain_steps
from superres.weights.store import Store

Restore = Callable[[Pixels], Pixels]


def compute_psnr(first: Pixels, second: Pixels) -> float:
    """Compute the PSNR of RGB images in dB."""
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def smooth(strength: float) -> Restore:
    """Make OpenCV's non-local means, of a strength that fits the damage."""

    def apply(image: Pixels) -> Pixels:
        made = cv2.fastNlMeansDenoisingColored(image, None, strength, strength, 7, 21)
        return np.asarray(made, np.uint8)

    return apply


def main() -> None:
    """Measure as the command line says and print a table."""
    options = _parse_arguments()
    device, store = Device(find_device(options.device)), Store.from_environment(offline=True)
    networks = {
        name: NetworkModel(spec, device, store).upscaler() for name, spec in RESTORERS.items()
    }
    damages: dict[str, tuple[Callable[[Pixels], Pixels], str, float]] = {
        "clean, deblock": (lambda image: image, "deblock", 1),
        "clean, denoise": (lambda image: image, "denoise", 1),
        **{
            f"JPEG {q}": (lambda image, q=q: compress(image, q), "deblock", h)  # type: ignore[misc]
            for q, h in ((10, 8), (20, 5), (40, 3), (75, 2))
        },
        **{
            f"noise {s}": (lambda image, s=s: add_noise(image, 0, s), "denoise", 0.8 * s)  # type: ignore[misc]
            for s in (5, 15, 25, 50)
        },
    }
    images = [read_rgb(path) for path in list_images(options.images)[: options.limit or None]]
    rows = []
    for name, (damage, step, strength) in damages.items():
        ways: dict[str, Restore] = {
            "damaged": lambda image: image,
            "non-local means": smooth(strength),
            step: lambda image, step=step: networks[step].upscale(image).pixels,  # type: ignore[misc]
        }
        row: dict[str, float | str] = {"damage": name}
        for way, restore in ways.items():
            started = time.perf_counter()
            scores = [compute_psnr(image, restore(damage(image))) for image in images]
            seconds = (time.perf_counter() - started) / len(images)
            key = "restored" if way == step else way
            row |= {key: round(float(np.mean(scores)), 2), f"{key} s": round(seconds, 3)}
        rows.append(row)
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    for model in options.models:
        rows += measure_chains(NetworkModel(find_model(model), device, store), images, store)
    report = {"machine": machine(), "images": str(options.images.name), "rows": rows}
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


def measure_chains(
    model: NetworkModel, images: list[Pixels], store: Store
) -> list[dict[str, float | str]]:
    """Measure a model on reduced and damaged images, alone and behind the step for the damage."""
    rows: list[dict[str, float | str]] = []
    scale = model.spec.scale
    cases: tuple[tuple[str, Callable[[Pixels], Pixels], str], ...] = (
        ("JPEG 30", lambda image: compress(image, 30), "deblock"),
        ("noise 15", lambda image: add_noise(image, 0, 15), "denoise"),
    )
    for name, damage, step in cases:
        row: dict[str, float | str] = {"damage": f"{name}, then {model.spec.name}"}
        for key, steps in (("damaged", ()), ("restored", (step, "upscale"))):
            upscaler = chain_steps(model, steps, Blending(), store)
            scores = []
            for image in images:
                height, width = (side - side % scale for side in image.shape[:2])
                whole = image[:height, :width]
                small = cv2.resize(
                    whole, (width // scale, height // scale), interpolation=cv2.INTER_AREA
                )
                made = upscaler.upscale(damage(np.asarray(small, np.uint8))).pixels
                scores.append(compute_psnr(whole, np.asarray(made, np.uint8)))
            row[key] = round(float(np.mean(scores)), 2)
        rows.append(row)
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    return rows


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.restoration", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of originals")
    parser.add_argument("--limit", type=int, default=20, help="images; 0 for all")
    parser.add_argument("--models", nargs="*", default=["bicubic_pp.x4", "compact.photo-x4"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
