"""How models treat clean and damaged photos, beside Lanczos and a reference model.

    python -m benchmarks.photos --set FOLDER [--models NAME ...] [--weights NAME=FILE ...]
                                [--reference NAME] [--limit N]

Each image is reduced by MATLAB's bicubic, left clean, or given Gaussian noise of 10 levels or JPEG
of quality 40. Printed per model and damage: PSNR and SSIM of luma by the papers' protocol, NIQE
(lower is better), the mean difference to the reference model in 8-bit levels, and how much the
model shifts the mean of flat colours and tints greys. Writes benchmarks/results/photos.json.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.damages import DAMAGES
from evaluation.machine import machine
from evaluation.metrics import compute_niqe
from evaluation.protocol import Pixels, bicubic, crop_to_multiple, list_images, psnr, read_rgb, ssim
from superres.catalogue import CATALOGUE, find_model
from superres.inference.device import Device, find_device
from superres.model_loader import NetworkModel
from superres.weights.store import Store

RESULTS = Path(__file__).parent / "results"
Upscale = Callable[[Pixels], Pixels]
_GREYS = (16, 64, 128, 200, 240)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    options = _parse_arguments(arguments)
    weights = dict(pair.split("=", 1) for pair in options.weights)
    names = [*options.models, *([options.reference] if options.reference else [])]
    models = {
        name: NetworkModel(
            find_model(name),
            Device(find_device("auto")),
            Store.from_environment(offline=True),
            Path(weights[name]) if name in weights else None,
        )
        for name in dict.fromkeys(names)
    }
    images = [read_rgb(path) for path in list_images(options.set)[: options.limit or None]]
    rows = []
    for damage, apply in DAMAGES.items():
        outputs = {name: _Outputs(model, images, apply) for name, model in models.items()}
        reference = outputs.get(options.reference)
        for name in options.models:
            rows.append({"model": name, "damage": damage, **outputs[name].measure(reference)})
            print(_format(rows[-1]), flush=True)
    for name in options.models:
        rows.append({"model": name, **measure_colours(models[name])})
        print(_format(rows[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "set": options.set.name, "images": len(images), "rows": rows}
    (RESULTS / options.output).write_text(json.dumps(report, indent=1) + "\n")


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--set", type=Path, required=True, help="folder of HR images")
    parser.add_argument("--models", nargs="+", default=["lanczos.x4"], choices=list(CATALOGUE))
    parser.add_argument("--weights", nargs="*", default=[], help="NAME=FILE")
    parser.add_argument("--reference", choices=list(CATALOGUE))
    parser.add_argument("--limit", type=int, default=0, help="images, from the first; 0: all")
    parser.add_argument("--output", default="photos.json", help="file in benchmarks/results")
    return parser.parse_args(arguments)


class _Outputs:
    """What a model makes of every image with one damage."""

    def __init__(
        self, model: NetworkModel, images: list[Pixels], damage: Callable[[Pixels, int], Pixels]
    ) -> None:
        self.scale = model.spec.scale
        self.hr = [crop_to_multiple(image, self.scale) for image in images]
        small = [bicubic(hr, *(side // self.scale for side in hr.shape[1::-1])) for hr in self.hr]
        inputs = [damage(lr, index) for index, lr in enumerate(small)]
        upscaler = model.upscaler()
        upscaler.upscale(inputs[0])
        started = time.perf_counter()
        self.made = [upscaler.upscale(lr).pixels for lr in inputs]
        pixels = sum(lr.shape[0] * lr.shape[1] for lr in inputs)
        self.seconds = (time.perf_counter() - started) / pixels * 1e6

    def measure(self, reference: "_Outputs | None") -> dict[str, float]:
        """Return the means over the images."""
        pairs = list(zip(self.made, self.hr, strict=True))
        values = {
            "psnr": np.mean([psnr(made, hr, self.scale) for made, hr in pairs]),
            "ssim": np.mean([ssim(made, hr, self.scale) for made, hr in pairs]),
            "niqe": np.mean(np.array([compute_niqe(made) for made in self.made], dtype=float)),
            "seconds_per_megapixel": self.seconds,
        }
        if reference and reference.scale == self.scale:
            values["difference"] = np.mean(
                [
                    np.abs(mine.astype(int) - theirs.astype(int)).mean()
                    for mine, theirs in zip(self.made, reference.made, strict=True)
                ]
            )
        return {name: round(float(value), 4) for name, value in values.items()}


def measure_colours(model: NetworkModel) -> dict[str, float]:
    """Measure what a model does to flat colours and to greys, in 8-bit levels.

    Returns:
        `shift`, the largest change of the mean of a flat area, and `tint`, the largest distance
        between the mean colours of a grey one.
    """
    draw = np.random.default_rng(0)
    greys = [np.full(3, level) for level in _GREYS]
    colours = [*greys, *draw.integers(16, 240, (15, 3))]
    shifts, tints = [], []
    for number, colour in enumerate(colours):
        flat = np.broadcast_to(colour, (64, 64, 3)).astype(np.uint8)
        made = model.upscaler().upscale(np.ascontiguousarray(flat)).pixels
        rim = 16 * model.spec.scale
        mean = made[rim:-rim, rim:-rim].reshape(-1, 3).mean(axis=0)
        shifts.append(np.abs(mean - colour).max())
        if number < len(greys):
            tints.append(np.ptp(mean))
    return {"shift": round(float(max(shifts)), 3), "tint": round(float(max(tints)), 3)}


def _format(row: dict[str, Any]) -> str:
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float))
    return f"{row['model']:26} {row.get('damage', 'flat colours'):13} {numbers}"


if __name__ == "__main__":
    main()
