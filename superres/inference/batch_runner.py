"""What one network computes of equal tiles: whole numbers in, whole numbers out.

Levels cross the bus as the 8 or 16 bits they are; they become a network's numbers, and its numbers
levels again, on the device.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import cached_property
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from superres.errors import Failed
from superres.geometry import Box, Size
from superres.inference.cuda_graphs import (
    REMEMBERED,
    SEEN,
    Download,
    Function,
    Lanes,
    compiled,
    largest_batch,
)
from superres.inference.device import Device
from superres.inference.scheduler import OVERLAPPING, Pending, Work
from superres.model_spec import ModelSpec
from superres.networks.subpixel import COLOURS, Subpixels, shuffled

if TYPE_CHECKING:
    # Its file formats take libraries that a machine for computing alone need not have.
    from superres.image.frame import Pixels

# Numbers of a thread's share of a band: they stay in its cache until they are levels (0.5 MB).
BAND = 2**17


class Kind(NamedTuple):
    """The format of pixels."""

    dtype: np.dtype[Any]  # uint8 or uint16
    channels: int  # 1 or 3

    @property
    def full(self) -> int:
        """The highest level."""
        return 65535 if self.dtype == np.uint16 else 255

    def channelled(self, values: Tensor) -> Tensor:
        """A network's RGB (n, 3, h, w) in as many channels: grey is their mean."""
        return values if self.channels == COLOURS else values.float().mean(1, keepdim=True)

    @classmethod
    def of(cls, pixels: "Pixels") -> "Kind":
        """That of pixels (h, w, 1 or 3)."""
        return cls(pixels.dtype, pixels.shape[2])


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

    def __init__(self, spec: ModelSpec, network: nn.Module, device: Device) -> None:
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


# Numbers


def to_tensor(pixels: "Pixels", device: torch.device) -> Tensor:
    """(h, w, 1 or 3) integers as (1, 3, h, w) fp32 in 0..1, scaled on the device."""
    if pixels.dtype == np.uint16 and device.type == "mps":
        raw = torch.from_numpy(pixels.astype(np.int32))
    else:
        # PyTorch warns of memory that may not be written.
        raw = torch.from_numpy(np.require(pixels, requirements="W"))
    return shares(raw.to(device)[None])


def shares(raw: Tensor) -> Tensor:
    """Levels (n, h, w, 1 or 3) as (n, 3, h, w) fp32 in 0..1, channels last in memory."""
    full = 255 if raw.dtype == torch.uint8 else 65535
    return raw.permute(0, 3, 1, 2).float().div_(full).expand(-1, COLOURS, -1, -1)


def to_pixels(x: Tensor, dtype: np.dtype[Any], channels: int) -> "Pixels":
    """(1, 3, h, w) in 0..1 as (h, w, channels) integers of `dtype`, rounded and clamped."""
    kind = Kind(dtype, channels)
    return to_host(quantised(kind.channelled(x), kind.full, dtype)[0][0])


def to_host(levels: Tensor) -> "Pixels":
    """(h, w, c) levels as an array."""
    pixels: Pixels = levels.cpu().numpy()
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels


def quantised(values: Tensor, gain: float, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """`values` (n, c, h, w) times `gain` as levels (n, h, w, c), rounded and clamped; which of the
    n are finite (n,), for of the others the levels mean nothing.
    """
    if values.device.type == "cpu":
        return in_bands(values, gain, dtype)
    # A sum is finite only where all that is summed is, and costs one pass.
    finite = values.sum((1, 2, 3), dtype=torch.float32).isfinite()
    full = Kind(dtype, COLOURS).full
    exact = values.dtype == torch.float16 and full == 255
    values = values if exact else values.float()
    levels = (values if gain == 1 else values * gain).round().clamp_(0, full)
    return levels.to(stored(dtype, values.device)).permute(0, 2, 3, 1).contiguous(), finite


def in_bands(values: Tensor, gain: float, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """As `quantised`, a few rows at a time: every step but the first works in the cache.

    At 3840×360 on one core that takes a fifth of the time of separate passes.
    """
    if values.shape[1] > 1 and values.stride(1) != 1:
        values = values.contiguous(memory_format=torch.channels_last)
    rows = values.permute(0, 2, 3, 1)
    count, height, width, channels = rows.shape
    levels = torch.empty(rows.shape, dtype=stored(dtype, values.device))
    sums = torch.zeros(count)
    band = max(BAND * torch.get_num_threads() // (width * channels), 1)
    scratch = torch.empty(min(band, height), width, channels)
    full = Kind(dtype, channels).full
    for number in range(count):
        for top in range(0, height, band):
            source = rows[number, top : top + band]
            part = torch.mul(source.float(), gain, out=scratch[: len(source)])
            sums[number] += part.sum()
            levels[number, top : top + band] = part.round_().clamp_(0, full)
    return levels, sums.isfinite()


def stored(dtype: np.dtype[Any], device: torch.device) -> torch.dtype:
    """What holds levels of `dtype` on a device."""
    if dtype == np.uint8:
        return torch.uint8
    return torch.int32 if device.type == "mps" else torch.uint16


def kept(levels: Tensor, keep: Box) -> Tensor:
    """The pixels (h, w, c) in `keep`, contiguous, of `levels` that hold 1 or more in each place."""
    factor = factor_of(levels.shape[2])
    places, rest = split(keep, factor)
    levels = levels[places.top : places.bottom, places.left : places.right]
    if factor > 1:
        levels = shuffled(levels[None].permute(0, 3, 1, 2), factor)[0]
    return levels[rest.top : rest.bottom, rest.left : rest.right].contiguous()


def factor_of(channels: int) -> int:
    """How many pixels a side one place of `channels` holds."""
    return max(isqrt(channels // COLOURS), 1)


def split(box: Box, factor: int) -> tuple[Box, Box]:
    """The places of `factor`² pixels that `box` touches, and where it lies within those."""
    left, top = box.left // factor, box.top // factor
    places = Box(left, top, -(-box.right // factor), -(-box.bottom // factor))
    across, down = left * factor, top * factor
    return places, Box(box.left - across, box.top - down, box.right - across, box.bottom - down)
