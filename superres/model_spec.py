"""What a model is, as data: tests/superres/test_catalogue.py proves each property."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from torch import Tensor, nn

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """One weights file: where it comes from, how it is known again, who may use it."""

    file: str  # its name in the cache folder or in superres/assets
    licence: str  # SPDX identifier where there is one
    origin: str  # page of the publisher
    url: str | None = None  # None: shipped in superres/assets
    sha256: str | None = None  # None: the publisher's hash is not known to us
    size: int | None = None  # bytes
    keys: tuple[str, ...] = ("params_ema", "params")  # where the state dict may lie; else bare

    @property
    def embedded(self) -> bool:
        """Whether the file is shipped in superres/assets."""
        return self.url is None


class Speed(Enum):
    """Rough cost per input pixel, for people who choose."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


@dataclass(frozen=True)
class RowStreaming:
    """How a network is streamed row by row (networks/streaming) and what it takes."""

    stages: Callable[[Any], Callable[[Any], Any]]  # of a network: its stages for a picture's Size
    bytes_per_column: int  # remembered between steps, fp32, per input pixel of width
    step_bytes: int  # in use during a step, fp32, per input pixel of its rows
    step_pixels: int = 12_000  # of a step on a CPU: what it works on stays in the caches
    min_pixels: int = 24_000  # input pixels; on a CPU smaller pictures are faster whole
    passes: int = 1  # over all rows; only the last gives any back
    bytes_per_image_pixel: int = 0  # between passes, fp32, per input pixel of the picture


@dataclass(frozen=True)
class NetworkSpec:
    """A model: `(n, 3, h, w)` RGB in 0..1 to `(n, 3, scale·h, scale·w)`."""

    name: str  # <architecture>.<weights>
    system: str  # the Executor that serves it
    scale: int
    build: Callable[[], nn.Module]  # imports what it needs only when called
    weights: tuple[Weights, ...]  # none: nothing was learned; two: interpolated or face models
    description: str  # for the README's table
    speed: Speed
    overlap: int  # pixels a tile must see beyond its core for one 8-bit step
    multiple_of: int = 1  # sides the network accepts; tiles also start at multiples of it
    align: int = 1  # tiles start at multiples of it too: windows of a tile are those of the whole
    min_size: int = 1  # least side the network accepts
    border_mode: Literal["own", "replicate"] = (
        "own"  # past a border: the network's own padding, or ours
    )
    global_context: bool = (
        False  # sees the whole picture: tiles need a survey (superres/networks/global_grid.py)
    )
    half: bool = True  # fp16 keeps within tolerance
    bytes_per_pixel: int = 0  # measured peak memory per input pixel of a tile, fp32
    cpu_bytes: int = 512 * 2**20  # activations of a tile on CPU; less where the cache decides
    stream: RowStreaming | None = None  # where every layer reads a few rows only
    convert: Callable[[StateDict], StateDict] | None = None  # publisher's keys to the network's
    options: tuple[str, ...] = ()  # model-specific options, e.g. denoise_strength
