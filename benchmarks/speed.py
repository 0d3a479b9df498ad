"""Speed of the network part on this machine, against RealESRGANer and plain eager PyTorch.

    python -m benchmarks.speed [--models NAME ...] [--width 320] [--height 240]

Weights are random, which changes no cost. Every figure of a line comes from the same run; the
order of the contenders alternates and the least time of each counts.
Writes benchmarks/results/speed.json.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.machine import machine
from superres.catalogue import CATALOGUE
from superres.geometry import Size
from superres.model import ModelSpec
from superres.tiling import computed_pixels
from superres.upscaler import Device, Upscaler

RESULTS = Path(__file__).parent / "results"
MODELS = (
    "bicubic_pp.x3",
    "dipnet.x4",
    "lapsrn.x4",
    "realesrgan.animevideo-x4",
)
Picture = NDArray[np.uint8]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=list(CATALOGUE))
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    shape = (options.height, options.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = [measured(CATALOGUE[name], pixels, options.rounds) for name in options.models]
    print(f"{'model':28} {'ours':>9} {'eager':>9} {'ratio':>6} {'peer':>9} {'ratio':>6} waste")
    for row in rows:
        print(line(row))
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "size": [options.width, options.height], "rows": rows}
    (RESULTS / "speed.json").write_text(json.dumps(report, indent=1) + "\n")


def measured(spec: ModelSpec, pixels: Picture, rounds: int) -> dict[str, Any]:
    """Seconds of ours, of eager PyTorch and, for Real-ESRGAN, of RealESRGANer."""
    torch.manual_seed(0)
    upscaler = Upscaler(spec, spec.build(), Device(torch.device("cpu")))
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: upscaler.upscale(pixels),
        "eager": eager(spec.build().eval(), pixels),
    }
    if spec.system == "realesrgan":
        contenders["peer"] = realesrganer(spec, pixels)
    seconds = least(contenders, rounds)
    plan = upscaler.plan(Size(pixels.shape[1], pixels.shape[0]), 0, None)
    waste = computed_pixels(plan) / (pixels.shape[0] * pixels.shape[1])
    ratios = {
        f"ratio_{name}": seconds[name] / seconds["ours"] for name in seconds if name != "ours"
    }
    return {"model": spec.name, **seconds, **ratios, "pixels_computed_per_pixel": waste}


def least(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least seconds of each over `rounds`, after one warm-up, in alternating order."""
    best = dict.fromkeys(contenders, float("inf"))
    for number in range(rounds + 1):
        names = list(contenders) if number % 2 else list(reversed(contenders))
        for name in names:
            started = time.perf_counter()
            contenders[name]()
            if number:
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def eager(network: nn.Module, pixels: Picture) -> Callable[[], object]:
    """What a script does: the whole picture, floats in NCHW, no gradients, rounded at the end."""

    @torch.no_grad()
    def run() -> object:
        padded = np.pad(
            pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), "edge"
        )
        x = torch.from_numpy(padded.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()
        return (network(x).clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    return run


def realesrganer(spec: ModelSpec, pixels: Picture) -> Callable[[], object]:
    """The publisher's own runner as its command line sets it up: whole picture, no padding."""
    from tempfile import NamedTemporaryFile

    from superres.networks.repair import repair_torchvision

    repair_torchvision()
    from realesrgan import RealESRGANer

    network = spec.build()
    with NamedTemporaryFile(suffix=".pth") as file:
        torch.save({"params": network.state_dict()}, file.name)
        runner = RealESRGANer(
            scale=spec.scale, model_path=file.name, model=network, tile=0, pre_pad=0, half=False
        )
    return lambda: runner.enhance(pixels[..., ::-1])


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    peer = f"{row['peer']:8.2f}s {row['ratio_peer']:6.2f}" if "peer" in row else " " * 15
    return (
        f"{row['model']:28} {row['ours']:8.2f}s {row['eager']:8.2f}s {row['ratio_eager']:6.2f} "
        f"{peer} {row['pixels_computed_per_pixel']:.2f}"
    )


if __name__ == "__main__":
    main()
