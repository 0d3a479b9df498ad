"""The most operations a second that matrix products reach, the yardstick of benchmarks.gpu."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

# Name: number format, and what fp32 products may be rounded to.
PEAKS = {
    "fp32": (torch.float32, "highest"),
    "tf32": (torch.float32, "high"),
    "fp16": (torch.float16, "high"),
    "bf16": (torch.bfloat16, "high"),
}
SIDE, SMALL_SIDE = 8192, 256  # of the matrices, on a GPU and elsewhere


def matmul_peak(name: str, device: torch.device, seconds: float) -> float | None:
    """Operations a second, two per product; None for what only GPUs tell apart."""
    dtype, precision = PEAKS[name]
    if device.type != "cuda" and name in {"tf32", "fp16"}:
        return None
    side = SIDE if device.type == "cuda" else SMALL_SIDE
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    with rounded(precision):
        return 2 * side**3 / fastest(lambda: a @ b, device, seconds)


@contextmanager
def rounded(precision: str) -> Iterator[None]:
    """fp32 products as `precision` says, for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def fastest(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the least seconds of a `call`, tried for `seconds` after two that do not count.

    As many calls are timed together as take a tenth of the time, so that waiting for the device
    costs nothing.
    """
    call()
    call()
    single = together(call, device, 1)
    count = max(1, min(int(seconds / 10 / max(single, 1e-9)), 1000))
    best, end = single, time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, together(call, device, count))
    return best


def together(call: Callable[[], object], device: torch.device, count: int) -> float:
    """Return the seconds of a call, of `count` in a row."""
    settle(device)
    started = time.perf_counter()
    for _ in range(count):
        call()
    settle(device)
    return (time.perf_counter() - started) / count


def settle(device: torch.device) -> None:
    """Wait until the device computes nothing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
