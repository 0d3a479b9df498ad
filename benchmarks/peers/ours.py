"""Our own Upscaler, as its users set it up."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.peers.case import Case, Contender, Output, Run
from benchmarks.peers.plain import loaded
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler

TILE, OVERLAP = 128, 10  # what RealESRGANer's users ask for
# Of 1.2 GB resident, the interpreter with torch, basicsr and the weights takes 0.5 to 0.7.
ACTIVATIONS = 450 * 2**20


def ours(tile: int = 0, overlap: int | None = None, **settings: Any) -> Callable[[Case], Run]:
    """Return what makes a contender of our Upscaler with these arguments and settings of its
    Device.
    """

    def make(case: Case) -> Run:
        network = loaded(case.spec.build(), case.state)
        upscaler = NetworkUpscaler(case.spec, network, Device(torch.device("cpu"), **settings))

        def run() -> Output:
            made = upscaler.upscale(case.pixels, tile=tile, overlap=overlap)
            return Output(made.pixels, made.cost.computed, made.cost.seconds)

        return run

    return make


CONTENDERS = (
    Contender("ours", "our Upscaler as a user gets it", ours()),
    Contender(
        "ours-tile", f"asked for tiles of {TILE} with overlap {OVERLAP}", ours(TILE, OVERLAP)
    ),
    Contender("ours-1.2gb", "told to stay within 1.2 GB resident", ours(memory=ACTIVATIONS)),
    Contender("ours-bf16", "in precision bf16", ours(precision="bf16")),
)
