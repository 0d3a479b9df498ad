"""Peak resident memory of an Executor that enlarges one large photo.

    python -m benchmarks.memory [--width 4000] [--height 3000] [--model bicubic_pp.x3]
    python -m benchmarks.memory --large

The Executor runs in a process of its own, as in a Flow. `--large` is 8000x6000 pixels, which become
24000x18000, with the operator's limits raised; the goal is less than 3 GB in all.
Writes benchmarks/results/memory.json, or memory_large.json.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

from benchmarks.files import file
from evaluation.footprint import peak, start_afresh
from evaluation.machine import machine

RESULTS = Path(__file__).parent / "results"
LARGE = (8000, 6000)
MAX_OUTPUT_PIXELS = 500_000_000  # above the default, for the large image


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--model", default="bicubic_pp.x3")
    parser.add_argument("--format", default="jpeg")
    parser.add_argument("--large", action="store_true", help="8000x6000 pixels")
    options = parser.parse_args()
    if options.large:
        options.width, options.height = LARGE
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        result = pool.apply(served, (file(options.width, options.height, "jpeg"), vars(options)))
    report = {"machine": machine(), **vars(options), **result}
    print(json.dumps(report, indent=1))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"memory{'_large' if options.large else ''}.json").write_text(
        json.dumps(report, indent=1) + "\n"
    )


def served(data: bytes, options: dict[str, Any]) -> dict[str, Any]:
    """Return what one request costs the process that serves it."""
    import asyncio

    from docarray import Document, DocumentArray

    from executors.upscaler import UpscalerExecutor

    class Served(UpscalerExecutor):
        system = options["model"].partition(".")[0]

    limits = {"max_output_pixels": MAX_OUTPUT_PIXELS} if options["large"] else {}
    executor = Served(model=options["model"], device="cpu", **limits)
    idle = start_afresh()
    docs = DocumentArray([Document(blob=data, tags={"image_format": options["format"]})])
    started = time.perf_counter()
    asyncio.run(executor.upscale(docs))
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "model_seconds": docs[0].tags["upscale"]["seconds"],
        "idle_mb": round(idle, 1),
        "peak_mb": round(peak(), 1),
        "above_idle_mb": round(peak() - idle, 1),
        "answer_mb": round(len(docs[0].blob) / 2**20, 1),
    }


if __name__ == "__main__":
    main()
