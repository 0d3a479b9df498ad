"""What one network computes of equal tiles: whole numbers in, whole numbers out.

Levels cross the bus as the 8 or 16 bits they are; they become a network's numbers, and its numbers
levels again, on the device.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from superres.errors import Failed
from superres.geometry import Box, Size
from superres.inference.cuda_graphs import REMEMBERED, SEEN, Function, compiled
from superres.inference.device import Device
from superres.inference.scheduler import OVERLAPPING, Pending, Work
from superres.inference.transfers import Download, Lanes
from superres.model_spec import NetworkSpec
from superres.networks.subpixel import COLOURS, Subpixels

if TYPE_CHECKING:
    # Its file formats take libraries that a machine for computing alone need not have.
    from superres.image.frame import Pixels
from superres.inference.quantize import (
    Kind,
    factor_of,
    kept,
    quantised,
    shares,
    split,
    to_host,
    to_tensor,
)


class Part(NamedTuple):
    """A tile (h, w, 1 or 3), uint8 or uint16, and what of its result is kept, in output pixels.

    `grids` gives the network's further inputs for a tile like the one it gets (n, 3, h, w).
    """

    pixels: "Pixels"
    keep: Box
    grids: Callable[[Tensor], Iterable[Tensor]] | None = None

    @property
    def kind(self) -> Kind:
        """The format of the tile and of what is made of it."""
        return Kind.of(self.pixels)

    @property
    def size(self) -> Size:
        """The tile's."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])


class Made(NamedTuple):
    """The kept pixels (h, w, c) in the tile's own format, contiguous.

    `seconds` is the tile's share of its batch's time on the device.
    """

    pixels: "Pixels"
    redone: bool  # computed again in fp32
    seconds: float


class Runner:
    """One network on one device. Only the thread of the device's scheduler calls `run`."""

    def __init__(self, spec: NetworkSpec, network: nn.Module, device: Device) -> None:
        self.spec = spec
        self.device = device
        self.dtype = device.dtype(spec)
        self.network = network.eval().requires_grad_(False)
        self.network.to(device.device, self.dtype)
        self.network.to(memory_format=device.layout)  # type: ignore[call-overload] # not in stubs
        self.subpixels = isinstance(network, Subpixels)
        self.identity = object()  # in keys, which must not keep a network alive
        self.largest: dict[Size, int] = {}
        self.made: dict[Kind, list[Function]] = {}

    def work(self, part: Part) -> Work[Part, Made]:
        """`part` for a line of the device's scheduler."""
        if part.grids:
            return Work(self.run, part, None, part.size.pixels)
        key = (self.identity, part.size, part.kind)
        return Work(self.run, part, key, part.size.pixels, self.most(part.size))

    def most(self, size: Size) -> int:
        """How many tiles of `size` go in one batch; one on a CPU, where batches leave the cache."""
        if not self.device.cuda:
            return 1
        if size not in self.largest:
            if len(self.largest) > REMEMBERED:
                self.largest.clear()
            tile_bytes = self.spec.bytes_per_pixel * self.dtype.itemsize // 4 * size.pixels
            self.largest[size] = largest_batch(self.device.free(), tile_bytes, size.pixels)
        return self.largest[size]

    def ahead(self, size: Size) -> int:
        """How many tiles of `size` a request keeps submitted, so that the device never waits."""
        return (OVERLAPPING + 1) * self.most(size) if self.device.cuda else 2

    def full_network(self) -> nn.Module:
        """The network in fp32, with its weights as they are; itself where it is in fp32."""
        return self.network if self.dtype == torch.float32 else deepcopy(self.network).float()

    def warm_up(self, size: Size) -> None:
        """Make ready what tiles of `size` will need: graphs, compiled code. RGB, 8 bits."""
        pixels = np.zeros((size.height, size.width, COLOURS), np.uint8)
        part = Part(pixels, Box(0, 0, *size.times(self.spec.scale)))
        counts = [1 << power for power in range(self.most(size).bit_length())]
        captured = self.device.cuda and self.device.optimize != "none"
        with self.device.scheduler.line() as line:
            for count in counts * (SEEN + 1 if captured else 1):
                line.submit(Work(self.rehearsed, [part] * count)).result()

    # What the scheduler's thread does

    @torch.inference_mode()
    def run(self, parts: Sequence[Part]) -> Sequence[Made] | Pending[Made]:
        """What is made of parts of one shape and format.

        Raises OutOfMemoryError, and Failed where the output is not finite even in fp32.
        """
        if not self.device.cuda:
            return [self.computed(part) for part in parts]
        try:
            return self.launched(parts)
        except torch.OutOfMemoryError:
            self.device.graphs.clear()
            raise

    def rehearsed(self, batches: Sequence[Sequence[Part]]) -> tuple[None]:
        """Nothing, once a batch was made."""
        made = self.run(batches[0])
        if not isinstance(made, Sequence):
            made.result()
        return (None,)

    def computed(self, part: Part) -> Made:
        """What is made of one part, at once."""
        started = time.perf_counter()
        pixels = self.attempt(part, self.network, self.dtype)
        redone = pixels is None
        if pixels is None:
            pixels = self.in_full_precision(part)
        return Made(pixels, redone, time.perf_counter() - started)

    def in_full_precision(self, part: Part) -> "Pixels":
        """The kept pixels of a part whose numbers were not finite, computed in fp32."""
        half = self.dtype != torch.float32
        pixels = self.attempt(part, self.full_network(), torch.float32) if half else None
        if pixels is None:
            message = f"{self.spec.name} gave numbers that are not finite"
            raise Failed(message, code="NON_FINITE")
        return pixels

    def attempt(self, part: Part, network: nn.Module, dtype: torch.dtype) -> "Pixels | None":
        """The kept pixels of a part; None where some are not finite."""
        x = self.seen(part.pixels, dtype)
        grids = part.grids(x) if part.grids else ()
        values, gain = self.values(network, x, part.kind, grids)
        places, rest = split(part.keep, factor_of(values.shape[1]))
        values = values[..., places.top : places.bottom, places.left : places.right]
        levels, finite = quantised(values, gain, part.kind.dtype)
        return to_host(kept(levels[0], rest)) if bool(finite.all()) else None

    def seen(self, pixels: "Pixels", dtype: torch.dtype | None = None) -> Tensor:
        """What the network sees of a tile (h, w, 1 or 3): (1, 3, h, w) in 0..1, on the device."""
        return self.laid_out(to_tensor(pixels, self.device.device), dtype or self.dtype)

    def laid_out(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`x` in a number format and in the layout of the device."""
        return x.to(dtype).contiguous(memory_format=self.device.layout)

    def values(
        self, network: nn.Module, x: Tensor, kind: Kind, grids: Iterable[Tensor] = ()
    ) -> tuple[Tensor, float]:
        """What the network makes of `x` (n, 3, h, w), and what makes levels of that.

        Either one value per pixel and channel, or, at the resolution that the network works at,
        those of many pixels (superres/networks/subpixel.py).
        """
        # Beyond 2048 fp16 does not hold all whole numbers.
        fits = kind.full == 255 or x.dtype == torch.float32
        if self.subpixels and kind.channels == COLOURS and fits:
            return network.subpixels(x, kind.full, *grids), 1  # type: ignore[operator]
        return kind.channelled(network(x, *grids)), kind.full

    # On CUDA

    def launched(self, parts: Sequence[Part]) -> "Launched":
        """A batch on its way through a CUDA device."""
        with torch.cuda.device(self.device.device):
            raw = self.lanes.upload([part.pixels for part in parts])
            begun = self.lanes.begin()
            levels, finite = self.batch(raw, parts[0])
            chosen = [kept(levels[i], part.keep) for i, part in enumerate(parts)]
            return Launched(self, parts, self.lanes.download([*chosen, finite], begun))

    def batch(self, raw: Tensor, like: Part) -> tuple[Tensor, ...]:
        """The levels (n, …) of `raw` (n, h, w, c), as `kept` takes them; which are finite (n,)."""
        if like.grids:
            x = self.laid_out(shares(raw), self.dtype)
            return quantised(
                *self.values(self.network, x, like.kind, like.grids(x)), like.kind.dtype
            )
        functions = self.functions(like.kind)
        if self.device.optimize == "none" or not self.device.cuda:
            return functions[-1](raw)
        return self.device.graphs.run((self.identity, like.kind), functions, raw)

    def functions(self, kind: Kind) -> list[Function]:
        """What makes levels of tiles of a format, fastest first; the last one never fails."""
        if kind not in self.made:

            def enlarged(raw: Tensor) -> tuple[Tensor, Tensor]:
                x = self.laid_out(shares(raw), self.dtype)
                return quantised(*self.values(self.network, x, kind), kind.dtype)

            self.made[kind] = [enlarged]
            if self.device.optimize == "max":
                self.made[kind].insert(0, compiled(enlarged, self.device.cache_dir))
        return self.made[kind]

    @cached_property
    def lanes(self) -> Lanes:
        """The copies of this network's tiles."""
        return Lanes(self.device.device)


class Launched:
    """A batch that a CUDA device computes."""

    def __init__(self, runner: Runner, parts: Sequence[Part], download: Download) -> None:
        self.runner = runner
        self.parts = parts
        self.download = download

    def result(self) -> list[Made]:
        """What was made, in the order of the parts. Raises OutOfMemoryError, Failed."""
        (*chosen, finite), seconds = self.download.wait()
        share = seconds / len(self.parts)
        return [
            Made(pixels, redone=False, seconds=share) if good else self.again(part)
            for part, pixels, good in zip(self.parts, chosen, finite, strict=True)
        ]

    @torch.inference_mode()
    def again(self, part: Part) -> Made:
        """One part computed in fp32."""
        started = time.perf_counter()
        pixels = self.runner.in_full_precision(part)
        return Made(pixels, redone=True, seconds=time.perf_counter() - started)


MOST_TILES = 64  # of a batch
# Input pixels of a batch: enough to fill the largest GPU, brief for the others.
BATCH_PIXELS = 2**20


def largest_batch(free: int, tile_bytes: int, tile_pixels: int) -> int:
    """How many tiles of `tile_pixels` may go in one batch, a power of two: what fits into half of
    the `free` bytes, for the next batch is prepared meanwhile.
    """
    fitting = free // 2 // max(tile_bytes, 1)
    most = max(min(MOST_TILES, BATCH_PIXELS // max(tile_pixels, 1), fitting), 1)
    return 1 << (most.bit_length() - 1)
