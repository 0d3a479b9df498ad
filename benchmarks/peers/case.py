"""What every contender gets, and what each must give back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from superres.image.frame import Pixels
from superres.model_spec import NetworkSpec, StateDict


class Unavailable(Exception):
    """Why a contender takes no part: something is not installed, or does not know the model."""


@dataclass(frozen=True)
class Case:
    """One model, its weights in the publisher's keys, and one image (h, w, 3) to enlarge."""

    spec: NetworkSpec
    state: StateDict
    weights: str  # where `state` is from
    pixels: Pixels
    folder: Path  # for files that contenders need; exported networks are kept here
    threads: int

    @property
    def asked(self) -> int:
        """Input pixels of the image."""
        return int(self.pixels.shape[0] * self.pixels.shape[1])


class Output(NamedTuple):
    """What one run made.

    `computed` counts the input pixels that passed through the network, those of overlaps each time.
    """

    pixels: Pixels
    computed: int | None  # None: it does not tell
    network_seconds: float | None = None  # where the contender tells; else it is taken as all


Run = Callable[[], Output]


@dataclass(frozen=True)
class Contender:
    """One way to enlarge an image; `make` raises Unavailable where it cannot take part."""

    name: str
    what: str
    make: Callable[[Case], Run]
    takes: Callable[[NetworkSpec], bool] = lambda spec: True


def to_floats(pixels: Pixels, multiple: int = 1) -> Tensor:
    """Return (1, 3, h, w) fp32 in 0..1, contiguous, its sides continued to multiples by the
    border.
    """
    rest = [(0, -side % multiple) for side in pixels.shape[:2]]
    levels = np.pad(pixels, (*rest, (0, 0)), "edge").astype(np.float32) / 255
    return torch.from_numpy(levels).permute(2, 0, 1)[None].contiguous()


def to_levels(x: NDArray[np.float32], height: int, width: int) -> Pixels:
    """Return (h, w, 3) levels of the upper left part of (1, 3, h, w) or (3, h, w) in 0..1."""
    kept = x.reshape(x.shape[-3:])[:, :height, :width].transpose(1, 2, 0)
    return (kept.clip(0, 1) * 255).round().astype(np.uint8)
