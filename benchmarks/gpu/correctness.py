"""How far the fast ways are from the publisher's network in fp32 on a CPU."""

from collections.abc import Iterator
from math import inf, log10
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.cases import Case, LeftOut, Pixels
from benchmarks.gpu.ways import CPU, floats, levels, on_gpu, runner_of
from superres.inference.cuda_graphs import CAPTURE_AFTER_RUNS
from superres.inference.device import Precision


def compared(case: Case) -> Iterator[dict[str, Any]]:
    """Yield how far each number format is from the publisher's network in fp32 on the CPU.

    The last of several runs counts: it comes from a graph where there are graphs.
    """
    part = case.part(case.small)
    with torch.no_grad():
        made = case.plain(torch.float32, CPU)(floats(part.pixels, case.spec.input_size.multiple_of))
    expected = levels(
        made[..., : case.small.height * case.spec.scale, : case.small.width * case.spec.scale]
    )
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "bf16") if on_gpu(case) else ("fp32",)
    for precision in precisions:
        runner = runner_of(case, precision, "auto")
        with runner.device.scheduler.open_queue() as line:
            for _ in range(CAPTURE_AFTER_RUNS + 2):
                got = line.submit(runner.make_task(part)).result()
        yield {
            "model": case.spec.name,
            "weights": case.weights,
            "way": f"{precision} on {case.device.type}",
            "redone": got.redone,
            "graphs": len(runner.device.graphs.captured),
            **difference(got.pixels, expected),
        }


def difference(got: Pixels, expected: Pixels) -> dict[str, Any]:
    """Return the largest difference in 1/255, and PSNR in dB, at most 99."""
    if got.shape != expected.shape:
        raise LeftOut(f"{got.shape} instead of {expected.shape}")
    apart = got.astype(np.int32) - expected
    error = float((apart.astype(np.float64) ** 2).mean())
    psnr = min(10 * log10(255**2 / error) if error else inf, 99.0)
    return {"largest_difference": int(abs(apart).max()), "psnr": psnr}
