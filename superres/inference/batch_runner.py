"""Batched inference of one network on equally sized tiles.

Tiles are uint8 or uint16 on their way to the device and back; they become a network's numbers, and
its numbers are quantized, on the device.
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
from superres.inference.cuda_graphs import (
    CAPTURE_AFTER_RUNS,
    MAX_TRACKED_SHAPES,
    Function,
    compile_function,
)
from superres.inference.device import Device
from superres.inference.scheduler import BATCHES_IN_FLIGHT, PendingBatch, Task
from superres.inference.transfers import CopyStreams, Download
from superres.model_spec import NetworkSpec
from superres.networks.subpixel import COLOUR_CHANNELS, SubpixelNetwork

if TYPE_CHECKING:
    # Its file formats take libraries that a machine for computing alone need not have.
    from superres.image.frame import Pixels
from superres.inference.quantize import (
    PixelFormat,
    count_pixels_per_side,
    crop_output,
    quantize,
    scale_to_unit,
    snap_to_grid,
    to_host,
    to_tensor,
)


class TileInput(NamedTuple):
    """A tile (h, w, 1 or 3), uint8 or uint16, and what of its result is kept, in output pixels.

    `grids` gives the network's further inputs for a tile like the one it gets (n, 3, h, w).
    """

    pixels: "Pixels"
    keep: Box
    grids: Callable[[Tensor], Iterable[Tensor]] | None = None

    @property
    def format(self) -> PixelFormat:
        """The format of the tile and of what is made of it."""
        return PixelFormat.of(self.pixels)

    @property
    def size(self) -> Size:
        """The tile's."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])


class TileResult(NamedTuple):
    """The kept pixels (h, w, c) in the tile's own format, contiguous.

    `seconds` is the tile's share of its batch's time on the device.
    """

    pixels: "Pixels"
    redone: bool  # computed again in fp32
    seconds: float


class BatchRunner:
    """One network on one device. Only the thread of the device's scheduler calls `run`."""

    def __init__(self, spec: NetworkSpec, network: nn.Module, device: Device) -> None:
        self.spec = spec
        self.device = device
        self.dtype = device.dtype(spec)
        self.network = network.eval().requires_grad_(False)
        self.network.to(device.device, self.dtype)
        self.network.to(memory_format=device.layout)  # type: ignore[call-overload] # not in stubs
        self.subpixels = isinstance(network, SubpixelNetwork)
        self.identity = object()  # in keys, which must not keep a network alive
        self.batch_sizes: dict[Size, int] = {}
        self.functions_by_format: dict[PixelFormat, list[Function]] = {}

    def make_task(self, tile_input: TileInput) -> Task[TileInput, TileResult]:
        """Make the task of a tile, for a queue of the device's scheduler."""
        if tile_input.grids:
            return Task(self.run, tile_input, None, tile_input.size.pixels)
        key = (self.identity, tile_input.size, tile_input.format)
        return Task(
            self.run, tile_input, key, tile_input.size.pixels, self.max_batch_size(tile_input.size)
        )

    def max_batch_size(self, size: Size) -> int:
        """Return how many tiles of `size` go in one batch; one on a CPU, where batches leave the
        cache.
        """
        if not self.device.cuda:
            return 1
        if size not in self.batch_sizes:
            if len(self.batch_sizes) > MAX_TRACKED_SHAPES:
                self.batch_sizes.clear()
            tile_bytes = self.spec.bytes_per_pixel * self.dtype.itemsize // 4 * size.pixels
            self.batch_sizes[size] = choose_batch_size(self.device.free(), tile_bytes, size.pixels)
        return self.batch_sizes[size]

    def count_ahead(self, size: Size) -> int:
        """Return how many tiles of `size` a request keeps submitted, so that the device never
        waits.
        """
        return (BATCHES_IN_FLIGHT + 1) * self.max_batch_size(size) if self.device.cuda else 2

    def copy_in_fp32(self) -> nn.Module:
        """Return the network in fp32, with its weights as they are; itself where it is in fp32."""
        return self.network if self.dtype == torch.float32 else deepcopy(self.network).float()

    def warm_up(self, size: Size) -> None:
        """Make ready what tiles of `size` will need: graphs, compiled code. RGB, 8 bits."""
        pixels = np.zeros((size.height, size.width, COLOUR_CHANNELS), np.uint8)
        part = TileInput(pixels, Box(0, 0, *size.times(self.spec.scale)))
        counts = [1 << power for power in range(self.max_batch_size(size).bit_length())]
        captured = self.device.cuda and self.device.optimize != "none"
        with self.device.scheduler.open_queue() as queue:
            for count in counts * (CAPTURE_AFTER_RUNS + 1 if captured else 1):
                queue.submit(Task(self.rehearse, [part] * count)).result()

    # What the scheduler's thread does

    @torch.inference_mode()
    def run(self, parts: Sequence[TileInput]) -> Sequence[TileResult] | PendingBatch[TileResult]:
        """Compute tiles of one shape and format.

        Raises OutOfMemoryError, and Failed where the output is not finite even in fp32.
        """
        if not self.device.cuda:
            return [self.compute(part) for part in parts]
        try:
            return self.launch(parts)
        except torch.OutOfMemoryError:
            self.device.graphs.clear()
            raise

    def rehearse(self, batches: Sequence[Sequence[TileInput]]) -> tuple[None]:
        """Compute a batch and forget it."""
        made = self.run(batches[0])
        if not isinstance(made, Sequence):
            made.result()
        return (None,)

    def compute(self, tile_input: TileInput) -> TileResult:
        """Compute one tile, at once."""
        started = time.perf_counter()
        pixels = self.attempt(tile_input, self.network, self.dtype)
        redone = pixels is None
        if pixels is None:
            pixels = self.compute_in_fp32(tile_input)
        return TileResult(pixels, redone, time.perf_counter() - started)

    def compute_in_fp32(self, tile_input: TileInput) -> "Pixels":
        """Return the kept pixels of a part whose numbers were not finite, computed in fp32."""
        half = self.dtype != torch.float32
        pixels = self.attempt(tile_input, self.copy_in_fp32(), torch.float32) if half else None
        if pixels is None:
            message = f"{self.spec.name} gave numbers that are not finite"
            raise Failed(message, code="NON_FINITE")
        return pixels

    def attempt(
        self, tile_input: TileInput, network: nn.Module, dtype: torch.dtype
    ) -> "Pixels | None":
        """Return the kept pixels of a part; None where some are not finite."""
        x = self.to_input(tile_input.pixels, dtype)
        grids = tile_input.grids(x) if tile_input.grids else ()
        values, gain = self.forward(network, x, tile_input.format, grids)
        places, rest = snap_to_grid(tile_input.keep, count_pixels_per_side(values.shape[1]))
        values = values[..., places.top : places.bottom, places.left : places.right]
        levels, finite = quantize(values, gain, tile_input.format.dtype)
        return to_host(crop_output(levels[0], rest)) if bool(finite.all()) else None

    def to_input(self, pixels: "Pixels", dtype: torch.dtype | None = None) -> Tensor:
        """Return what the network sees of a tile (h, w, 1 or 3): (1, 3, h, w) in 0..1, on the
        device.
        """
        return self.to_layout(to_tensor(pixels, self.device.device), dtype or self.dtype)

    def to_layout(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return `x` in a number format and in the layout of the device."""
        return x.to(dtype).contiguous(memory_format=self.device.layout)

    def forward(
        self, network: nn.Module, x: Tensor, kind: PixelFormat, grids: Iterable[Tensor] = ()
    ) -> tuple[Tensor, float]:
        """Return what the network makes of `x` (n, 3, h, w), and what makes levels of that.

        Either one value per pixel and channel, or, at the resolution that the network works at,
        those of many pixels (superres/networks/subpixel.py).
        """
        # Beyond 2048 fp16 does not hold all whole numbers.
        fits = kind.max_level == 255 or x.dtype == torch.float32
        if self.subpixels and kind.channels == COLOUR_CHANNELS and fits:
            return network.subpixels(x, kind.max_level, *grids), 1  # type: ignore[operator]
        return kind.to_channels(network(x, *grids)), kind.max_level

    # On CUDA

    def launch(self, parts: Sequence[TileInput]) -> "CudaBatch":
        """Start a batch on a CUDA device."""
        with torch.cuda.device(self.device.device):
            raw = self.copy_streams.upload([part.pixels for part in parts])
            begun = self.copy_streams.begin()
            levels, finite = self.compute_batch(raw, parts[0])
            chosen = [crop_output(levels[i], part.keep) for i, part in enumerate(parts)]
            return CudaBatch(self, parts, self.copy_streams.download([*chosen, finite], begun))

    def compute_batch(self, raw: Tensor, like: TileInput) -> tuple[Tensor, ...]:
        """Return the levels (n, …) of `raw` (n, h, w, c), as `crop_output` takes them; which are
        finite (n,).
        """
        if like.grids:
            x = self.to_layout(scale_to_unit(raw), self.dtype)
            return quantize(
                *self.forward(self.network, x, like.format, like.grids(x)), like.format.dtype
            )
        functions = self.list_functions(like.format)
        if self.device.optimize == "none" or not self.device.cuda:
            return functions[-1](raw)
        return self.device.graphs.run((self.identity, like.format), functions, raw)

    def list_functions(self, kind: PixelFormat) -> list[Function]:
        """Return what makes levels of tiles of a format, fastest first; the last one never
        fails.
        """
        if kind not in self.functions_by_format:

            def enlarged(raw: Tensor) -> tuple[Tensor, Tensor]:
                x = self.to_layout(scale_to_unit(raw), self.dtype)
                return quantize(*self.forward(self.network, x, kind), kind.dtype)

            self.functions_by_format[kind] = [enlarged]
            if self.device.optimize == "max":
                self.functions_by_format[kind].insert(
                    0, compile_function(enlarged, self.device.cache_dir)
                )
        return self.functions_by_format[kind]

    @cached_property
    def copy_streams(self) -> CopyStreams:
        """The copies of this network's tiles."""
        return CopyStreams(self.device.device)


class CudaBatch:
    """A batch that a CUDA device computes."""

    def __init__(self, runner: BatchRunner, parts: Sequence[TileInput], download: Download) -> None:
        self.runner = runner
        self.parts = parts
        self.download = download

    def result(self) -> list[TileResult]:
        """Return what was made, in the order of the parts. Raises OutOfMemoryError, Failed."""
        (*chosen, finite), seconds = self.download.wait()
        share = seconds / len(self.parts)
        return [
            TileResult(pixels, redone=False, seconds=share) if good else self.recompute(part)
            for part, pixels, good in zip(self.parts, chosen, finite, strict=True)
        ]

    @torch.inference_mode()
    def recompute(self, tile_input: TileInput) -> TileResult:
        """Compute one tile again, in fp32."""
        started = time.perf_counter()
        pixels = self.runner.compute_in_fp32(tile_input)
        return TileResult(pixels, redone=True, seconds=time.perf_counter() - started)


MAX_BATCH_TILES = 64  # of a batch
# Input pixels of a batch: enough to fill the largest GPU, brief for the others.
BATCH_PIXELS = 2**20


def choose_batch_size(free: int, tile_bytes: int, tile_pixels: int) -> int:
    """Return how many tiles of `tile_pixels` may go in one batch, a power of two: what fits into
    half of the `free` bytes, for the next batch is prepared meanwhile.
    """
    fitting = free // 2 // max(tile_bytes, 1)
    most = max(min(MAX_BATCH_TILES, BATCH_PIXELS // max(tile_pixels, 1), fitting), 1)
    return 1 << (most.bit_length() - 1)
