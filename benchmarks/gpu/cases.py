"""What benchmarks.gpu measures: networks with weights, images, and the time there is."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from superres.catalogue import CATALOGUE
from superres.geometry import Box, Size
from superres.inference.batch_runner import TileInput
from superres.model_spec import NetworkSpec, StateDict

# Model, the input's size, batches; and the size for a try of the script.
CASES = (
    ("realesrgan.x4plus", Size(512, 512), (1, 2, 4), Size(16, 12)),
    ("swinir.classical-x4", Size(256, 256), (1, 4), Size(16, 8)),
    ("realesrgan.animevideo-x4", Size(1920, 1080), (1,), Size(32, 24)),
    ("lapsrn.x4", Size(512, 512), (1, 4), Size(24, 16)),
    ("dipnet.x4", Size(1280, 720), (1, 4), Size(32, 24)),
    ("bicubic_pp.x3", Size(1280, 720), (1, 2, 4, 8, 16), Size(48, 32)),
)
SMALL, TINY = Size(64, 48), Size(24, 16)  # of the images that are compared
SECONDS = 1.5  # that one figure is measured for
QUICK_SECONDS = 0.02

Pixels = NDArray[np.uint8]


class LeftOut(Exception):
    """Why something cannot be measured."""


class Clock:
    """The time that is left of `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Return seconds."""
        return self.end - time.monotonic()

    def share(self, quick: bool) -> float:
        """Return seconds that one figure may take."""
        return QUICK_SECONDS if quick else max(min(SECONDS, self.left() / 20), 0.1)


@dataclass(frozen=True, eq=False)
class Case:
    """A network on a device, with images (h, w, 3) of `size`."""

    spec: NetworkSpec
    state: StateDict
    weights: str  # where `state` is from
    size: Size
    small: Size  # of the image that is compared
    batches: tuple[int, ...]
    device: torch.device
    operations: int  # of one image, two per product

    def network(self) -> nn.Module:
        """Ours."""
        network = self.spec.build()
        network.load_state_dict(self.state)
        return network

    def plain(self, dtype: torch.dtype, device: torch.device) -> nn.Module:
        """Return the publisher's, in NCHW."""
        state = {name: value.to(device, dtype) for name, value in self.state.items()}
        return publishers(self.spec, state).to(device, dtype)

    def part(self, size: Size, seed: int = 0) -> TileInput:
        """Return an image, all of whose result is kept."""
        return TileInput(noise(size, seed), Box(0, 0, *size.times(self.spec.scale)))


def cases_for(
    models: Sequence[str],
    device: torch.device,
    quick: bool,
    leave_out: Callable[[str, object], None],
) -> Iterator[Case]:
    """Yield the cases of `models`; those whose packages are missing are left out."""
    for name, size, batches, tiny in CASES:
        if name in models:
            sizes = (tiny, TINY) if quick else (size, SMALL)
            try:
                yield case(CATALOGUE[name], *sizes, batches, device)
            except ImportError as error:
                leave_out(name, f"needs a package: {error}")


def case(
    spec: NetworkSpec, size: Size, small: Size, batches: tuple[int, ...], device: torch.device
) -> Case:
    """Return one case. Raises ImportError."""
    state, weights = weights_for(spec)
    counted = operations(spec, state, size)
    return Case(spec, state, weights, size, small, batches, device, counted)


def weights_for(spec: NetworkSpec) -> tuple[StateDict, str]:
    """Weights in the publisher's keys, and where they are from."""
    try:
        from benchmarks.peers.weights import state_for

        return state_for(spec, None)
    except ImportError:
        torch.manual_seed(0)
        return spec.build().state_dict(), "random"


def publishers(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """Return the publisher's network; ours where what it takes is not installed."""
    try:
        from benchmarks.peers.plain import plain

        return plain(spec, state)
    except ImportError:
        network = spec.build().eval().requires_grad_(False)
        network.load_state_dict(state)
        return network


def operations(spec: NetworkSpec, state: StateDict, size: Size) -> int:
    """Floating-point operations for an image of `size`, two per product."""
    try:
        from benchmarks.peers import arithmetic

        return arithmetic.operations(spec, state, size)
    except ImportError:
        counter = FlopCounterMode(display=False)
        network = spec.build().to("meta")
        with counter, torch.no_grad():
            network(torch.empty(1, 3, size.height, size.width, device="meta"))
        return int(counter.get_total_flops())


def noise(size: Size, seed: int = 0) -> Pixels:
    """Return an image with soft shapes and grain."""
    y, x = np.mgrid[: size.height, : size.width].astype(np.float32)
    draw = np.random.default_rng(seed)
    waves = [np.sin(x / 9 + phase) * np.cos(y / 13 - phase) for phase in draw.uniform(0, 6, 3)]
    grain = draw.normal(0, 12, (size.height, size.width, 3))
    return np.clip(128 + 70 * np.stack(waves, 2) + grain, 0, 255).astype(np.uint8)
