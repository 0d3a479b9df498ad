"""An Upscaler: one model on one device, ready to enlarge pictures of any size."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from superres.errors import BadSetting, Failed, OutOfMemory
from superres.geometry import Box, Size, Tile
from superres.image import Pixels
from superres.model import ModelSpec
from superres.scheduler import Turns
from superres.surveying import Survey, passes
from superres.tiling import accepted, cheapest, covering, cut

Precision = Literal["auto", "fp32", "fp16", "bf16"]
Progress = Callable[[int, int], None]

SMALLEST_TILE = 32  # input pixels a side below which halving a tile is given up
CPU_MEMORY = 512 * 2**20  # bytes
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Upscaled(NamedTuple):
    """A picture and what it cost: `seconds` of model time, `peak_memory` in bytes or None."""

    pixels: Pixels
    seconds: float
    peak_memory: int | None
    tiles: int
    redone: int  # tiles that were computed again in fp32


@dataclass(frozen=True)
class Device:
    """Where and how to compute. `memory` is what activations may take, in bytes.

    Models that share a Device take turns on it.
    """

    device: torch.device
    precision: Precision = "auto"
    memory: int | None = None
    channels_last: bool = True
    turns: Turns = field(default_factory=Turns, compare=False)

    def dtype(self, spec: ModelSpec) -> torch.dtype:
        """The number format for a model: half on CUDA where the model stays within tolerance."""
        if self.precision == "auto":
            half = self.device.type == "cuda" and spec.half
            return torch.float16 if half else torch.float32
        return HALF.get(self.precision, torch.float32)

    def free(self, on_cpu: int = CPU_MEMORY) -> int:
        """Bytes that activations may take now; `on_cpu` where no limit is set and no GPU is."""
        if self.memory:
            return self.memory
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0] * 0.8)
        return on_cpu


def device_named(name: str) -> torch.device:
    """The device for `auto`, `cuda`, `cuda:N`, `mps` or `cpu`; auto takes the best there is."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadSetting(
            f'device "{name}": not usable here; expected auto, cpu, mps, cuda or cuda:N',
            option="device",
        ) from error
    return device


class Upscaler:
    """Enlarges pictures with one network; safe to call from several threads.

    Calls take turns tile by tile, so a small picture does not wait for a large one to end.
    """

    def __init__(self, spec: ModelSpec, network: nn.Module, device: Device) -> None:
        self.spec = spec
        self.device = device
        self.dtype = device.dtype(spec)
        # Channels-last runs convolutions 1.1 to 1.8 times as fast on CPU and feeds tensor cores.
        self.layout = torch.channels_last if device.channels_last else torch.contiguous_format
        self.network = network.eval().requires_grad_(False)
        self.network.to(device.device, self.dtype)
        self.network.to(memory_format=self.layout)  # type: ignore[call-overload] # not in stubs
        self.ceiling: int | None = None  # pixels a tile, learned from running out of memory

    @property
    def report(self) -> Mapping[str, Any]:
        """Nothing beside what `upscale` gives."""
        return {}

    def upscale(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Upscaled:
        """`pixels` (h, w, 3 or 1), uint8 or uint16, enlarged `scale` times in the same format.

        `tile` is a tile's edge in input pixels, 0 to choose from free memory; `overlap` defaults to
        the model's own. `progress` is called after every tile with tiles done and in all; an error
        it raises ends the work. Raises OutOfMemory where even small tiles do not fit, Failed if the
        output is not finite.
        """
        while True:
            made = self.plan(Size(pixels.shape[1], pixels.shape[0]), tile, overlap)
            try:
                return self.run(pixels, made, progress)
            except torch.OutOfMemoryError as error:
                tile = self.smaller(made, error)

    def plan(self, size: Size, tile: int, overlap: int | None) -> list[Tile]:
        """The tiles for a picture of `size`."""
        memory = self.device.free(self.spec.cpu_bytes)
        if tile:
            return covering(size, self.spec, Size(tile, tile), overlap)
        pixels = max(memory // self.bytes_per_pixel, SMALLEST_TILE**2)
        return cheapest(size, self.spec, min(pixels, self.ceiling or pixels))

    @property
    def bytes_per_pixel(self) -> int:
        """Peak bytes of activations per input pixel of a tile."""
        per_pixel = max(self.spec.bytes_per_pixel, 1)
        return per_pixel if self.dtype == torch.float32 else -(-per_pixel // 2)

    def smaller(self, made: list[Tile], error: torch.OutOfMemoryError) -> int:
        """Half the tile edge that did not fit; remembered for later calls."""
        size = made[0].outer.size
        edge = min(size) // 2
        if edge < SMALLEST_TILE:
            raise OutOfMemory(
                f"{self.spec.name}: a tile of {size} pixels does not fit into device memory",
                allowed="a smaller picture, or a device with more free memory",
            ) from error
        self.ceiling = edge * edge
        if self.device.device.type == "cuda":
            torch.cuda.empty_cache()
        return edge

    def run(self, pixels: Pixels, made: list[Tile], progress: Progress) -> Upscaled:
        """Compute every tile and put the result together."""
        scale = self.spec.scale
        height, width, channels = pixels.shape
        result = np.empty((height * scale, width * scale, channels), pixels.dtype)
        seconds, redone = 0.0, 0
        cuda = self.device.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device.device)
        survey = None
        total = len(made)
        if self.spec.whole and len(made) > 1:
            whole = accepted(Size(width, height), self.spec)
            survey = Survey(self.network, whole)  # type: ignore[arg-type] # spec.whole says so
            total = passes(survey.network, len(made))
            seconds += self.look_over(pixels, made, survey, lambda done: progress(done, total))
        for done, tile in enumerate(made, start=total - len(made) + 1):
            with self.device.turns:
                started = time.perf_counter()
                part, again = self.compute(pixels, tile, survey)
                seconds += time.perf_counter() - started
            redone += again
            core = tile.core
            result[
                core.top * scale : core.bottom * scale, core.left * scale : core.right * scale
            ] = part
            progress(done, total)
        peak = torch.cuda.max_memory_allocated(self.device.device) if cuda else None
        return Upscaled(result, seconds, peak, len(made), redone)

    @torch.inference_mode()
    def look_over(
        self, pixels: Pixels, made: list[Tile], survey: Survey, progress: Callable[[int], None]
    ) -> float:
        """Complete the survey of a picture that is computed in tiles; the seconds it took."""
        seconds, done = 0.0, 0
        for _ in range(survey.network.blocks):
            for tile in made:
                with self.device.turns:
                    started = time.perf_counter()
                    survey.note(self.seen(pixels, tile).to(self.dtype), tile)
                    seconds += time.perf_counter() - started
                done += 1
                progress(done)
            survey.close_pass()
        return seconds

    def seen(self, pixels: Pixels, tile: Tile) -> Tensor:
        """What the network sees of a tile, in fp32 on the device."""
        x = to_tensor(cut(pixels, tile.outer), self.device.device)
        return x.contiguous(memory_format=self.layout)

    @torch.inference_mode()
    def compute(
        self, pixels: Pixels, tile: Tile, survey: Survey | None = None
    ) -> tuple[Pixels, bool]:
        """The enlarged core of one tile; whether fp32 had to be used."""
        keep = inner(tile, self.spec.scale)
        rows, columns = slice(keep.top, keep.bottom), slice(keep.left, keep.right)
        x = self.seen(pixels, tile)
        half = x.to(self.dtype)
        grids = survey.within(tile.outer, half) if survey else ()
        out = self.network(half, *grids)[..., rows, columns]
        again = not bool(torch.isfinite(out).all())
        if again:
            grids = survey.within(tile.outer, x) if survey else ()
            out = self.in_full_precision(x, *grids)[..., rows, columns]
            if not bool(torch.isfinite(out).all()):
                raise Failed(
                    f"{self.spec.name} gave numbers that are not finite", code="NON_FINITE"
                )
        return to_pixels(out, pixels.dtype, pixels.shape[2]), again

    def in_full_precision(self, x: Tensor, *grids: Tensor) -> Tensor:
        """The network's result computed in fp32, with its weights as they are."""
        if self.dtype == torch.float32:
            out: Tensor = self.network(x, *grids)
            return out
        weights = {name: value.float() for name, value in self.network.state_dict().items()}
        buffers = {
            name: value.float() if value.is_floating_point() else value
            for name, value in self.network.named_buffers()
        }
        redone: Tensor = torch.func.functional_call(
            self.network, {**buffers, **weights}, (x, *grids)
        )
        return redone


def inner(tile: Tile, scale: int) -> Box:
    """Where the core of `tile` lies in the network's result for it."""
    outer, core = tile
    return Box(
        (core.left - outer.left) * scale,
        (core.top - outer.top) * scale,
        (core.right - outer.left) * scale,
        (core.bottom - outer.top) * scale,
    )


def to_tensor(pixels: Pixels, device: torch.device) -> Tensor:
    """(h, w, 1 or 3) integers as (1, 3, h, w) fp32 in 0..1, scaled on the device."""
    if pixels.dtype == np.uint16:
        raw = torch.from_numpy(pixels.astype(np.int32))
        full = 65535
    else:
        raw = torch.from_numpy(np.ascontiguousarray(pixels))
        full = 255
    x = raw.to(device).permute(2, 0, 1)[None].float().div_(full)
    return x.expand(-1, 3, -1, -1)


def to_pixels(x: Tensor, dtype: np.dtype[Any], channels: int) -> Pixels:
    """(1, 3, h, w) in 0..1 as (h, w, channels) integers of `dtype`, rounded and clamped."""
    full = 65535 if dtype == np.uint16 else 255
    x = x[0].float().mean(0, keepdim=True) if channels == 1 else x[0].float()
    x = x.mul(full).round_().clamp_(0, full).permute(1, 2, 0)
    if dtype == np.uint16:
        deep: NDArray[np.uint16] = x.to(torch.int32).cpu().numpy().astype(np.uint16)
        return deep
    shallow: NDArray[np.uint8] = x.to(torch.uint8).cpu().numpy()
    return shallow
