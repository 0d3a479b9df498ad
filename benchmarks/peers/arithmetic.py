"""How much arithmetic a network is, and how fast this machine can do it at best."""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.plain import plain_or_ours
from superres.geometry import Size, round_up
from superres.model_spec import NetworkSpec, StateDict

SIDE = 2048  # of the matrices: large enough that their 12 MFLOP per row hide everything else


def operations(spec: NetworkSpec, state: StateDict, size: Size) -> int:
    """Floating-point operations of the plain network for an image of `size`, two per product."""
    network = plain_or_ours(spec, state).to("meta")
    height, width = (
        round_up(side, spec.input_size.multiple_of) for side in (size.height, size.width)
    )
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.empty(1, 3, height, width, device="meta"))
    return counter.get_total_flops()


def matmul_peak(dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Return the most operations a second of a matrix product on all threads, tried for
    `seconds`.
    """
    a, b = (torch.rand(SIDE, SIDE).to(dtype) for _ in range(2))
    torch.mm(a, b)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best
