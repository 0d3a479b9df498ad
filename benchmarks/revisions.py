"""The speed of two checkouts of this project beside each other, on this machine's CPU.

    python -m benchmarks.revisions OTHER_CHECKOUT [--rounds N]

Each round runs every case in a fresh process of the other checkout, then of this one; the least
time of each counts. Networks have random weights, which cost the same. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = {
    "lanczos.x4": (640, 480),
    "bicubic_pp.x3": (1280, 720),
    "dipnet.x4": (320, 240),
    "lapsrn.x2": (200, 150),
    "lapsrn.ms-d5r2-x4": (80, 60),
    "realesrgan.animevideo-x4": (320, 240),
    "realesrgan.general-x4": (240, 180),
    "realesrgan.anime-x4": (96, 64),
    "realesrgan.x2plus": (128, 96),
    "realesrgan.x4plus": (64, 48),
    "swinir.lightweight-x2": (96, 64),
    "swinir.classical-x4": (48, 48),
    "swin2sr.lightweight-x2": (64, 64),
}

# Runs in either checkout: the older one has these names at the top of the package.
PROCESS = """
import json, os, sys, time, warnings
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
warnings.simplefilter("ignore")
import numpy as np, torch
from superres.catalogue import CATALOGUE
try:
    from superres.inference.device import Device
    from superres.inference.upscaler import NetworkUpscaler as Upscaler
except ImportError:
    from superres.device import Device
    from superres.upscaler import Upscaler
made = {}
for name, (width, height) in json.loads(sys.argv[1]).items():
    torch.manual_seed(0)
    upscaler = Upscaler(CATALOGUE[name], CATALOGUE[name].build(), Device(torch.device("cpu")))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    upscaler.upscale(image)
    times, begun = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begun < 1.5 and len(times) < 30):
        started = time.perf_counter()
        upscaler.upscale(image)
        times.append(time.perf_counter() - started)
    made[name] = min(times)
print(json.dumps(made))
"""


def measure(checkout: Path) -> dict[str, float]:
    """Return the least seconds of every case in a process of `checkout`."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, json.dumps(CASES)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure both in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="another checkout, e.g. of an older commit")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    before: list[dict[str, float]] = []
    after: list[dict[str, float]] = []
    for _ in range(given.rounds):
        before.append(measure(given.other))
        after.append(measure(ROOT))
    print("| model | image | other, ms | this, ms | change |\n| --- | --- | --- | --- | --- |")
    for name, (width, height) in CASES.items():
        old, new = (min(r[name] for r in rounds) * 1e3 for rounds in (before, after))
        change = f"{100 * (new / old - 1):+.1f} %"
        print(f"| `{name}` | {width}x{height} | {old:.1f} | {new:.1f} | {change} |")


if __name__ == "__main__":
    main()
