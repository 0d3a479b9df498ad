"""A whole request, from a JPEG file to the enlarged file, beside what a script does.

    python -m benchmarks.request [--width 1280] [--height 720] [--rounds 3] [--model NAME]

The script is what people write first: Pillow in and out, floats in NCHW, no gradients, the same
network with the same weights on the same threads. Both run in the same process in alternating
order and the least time of each counts. Writes benchmarks/results/request.json.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn

from benchmarks.photo import photo
from benchmarks.stopwatch import fastest
from evaluation.machine import machine
from superres.catalogue import CATALOGUE
from superres.codecs.decode import decode
from superres.codecs.encode import find_format
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel, read_state_dicts
from superres.model_spec import NetworkSpec
from superres.pipeline import Answer, OutputOptions, upscale
from superres.weights.store import Store, load_state_dict

RESULTS = Path(__file__).parent / "results"
GOALS = {"png": 12.0, "jpeg": 2.4}  # for Bicubic++ from 1280x720


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="bicubic_pp.x3")
    options = parser.parse_args()
    out = BytesIO()
    Pillow.fromarray(photo(options.width, options.height)).save(out, "jpeg", quality=90)
    spec, store = CATALOGUE[options.model], Store.from_environment()
    upscaler = NetworkModel(spec, Device(torch.device("cpu")), store).upscaler()
    network = plain(spec, store)
    rows = [compared(out.getvalue(), upscaler, network, name, options.rounds) for name in GOALS]
    print(f"{'format':8} {'script':>9} {'ours':>9} {'model':>9} {'ratio':>6} {'goal':>6} step")
    for row in rows:
        print(
            f"{row['format']:8} {row['script'] * 1e3:7.1f}ms {row['ours'] * 1e3:7.1f}ms "
            f"{row['model'] * 1e3:7.1f}ms {row['ratio']:6.2f} {row['goal']:6.1f} {row['step']}"
        )
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "model": spec.name, "size": [options.width, options.height]}
    (RESULTS / "request.json").write_text(json.dumps(report | {"rows": rows}, indent=1) + "\n")


def plain(spec: NetworkSpec, store: Store) -> nn.Module:
    """Return the network with its weights, as PyTorch lays it out."""
    states, path = read_state_dicts(spec, store, None)
    network = spec.build().eval()
    load_state_dict(network, states[0], path)
    return network


def compared(
    data: bytes, upscaler: NetworkUpscaler, network: nn.Module, name: str, rounds: int
) -> dict[str, Any]:
    """Return seconds of both for a format, and how far their pixels are apart."""
    contenders: dict[str, Callable[[], Any]] = {
        "script": partial(script, data, network, name),
        "ours": partial(ours, data, upscaler, name),
    }
    times = fastest(contenders, rounds)
    answer: Answer = times["ours"].made
    return {
        "format": name,
        "script": times["script"].seconds,
        "ours": times["ours"].seconds,
        "ours_cpu": times["ours"].cpu_seconds,
        "model": answer.cost.seconds,
        "ratio": times["script"].seconds / times["ours"].seconds,
        "goal": GOALS[name],
        "bytes": {"script": len(times["script"].made), "ours": len(answer.encoded.data)},
        "step": step(times["script"].made, answer.encoded.data) if name == "png" else None,
    }


def ours(data: bytes, upscaler: NetworkUpscaler, name: str) -> Answer:
    """Return the engine's answer with its default options."""
    return upscale(decode(data), upscaler, OutputOptions(find_format(name)))


@torch.no_grad()
def script(data: bytes, network: nn.Module, name: str) -> bytes:
    """Return what a script makes."""
    pixels = np.asarray(Pillow.open(BytesIO(data)).convert("RGB"))
    x = torch.from_numpy(pixels / 255).float().permute(2, 0, 1)[None].contiguous()
    levels = (network(x)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    out = BytesIO()
    options = {"quality": 95} if name == "jpeg" else {}
    Pillow.fromarray(levels).save(out, name, **options)
    return out.getvalue()


def step(first: bytes, second: bytes) -> int:
    """Return the largest difference of any level, away from the border, which models may
    continue.
    """
    opened = (np.asarray(Pillow.open(BytesIO(data))).astype(int) for data in (first, second))
    inner = [levels[48:-48, 48:-48] for levels in opened]
    return int(np.abs(inner[0] - inner[1]).max())


if __name__ == "__main__":
    main()
