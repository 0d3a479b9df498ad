"""An Upscaler: one model on one device, ready to enlarge pictures of any size."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from superres.errors import OutOfMemory
from superres.geometry import Size
from superres.image.frame import Pixels
from superres.inference import planning
from superres.inference.batch_runner import Runner
from superres.inference.device import Device
from superres.inference.job import FrameJob
from superres.inference.planning import SMALLEST_TILE, Plan
from superres.inference.result import Progress, Result, RowStream
from superres.inference.row_streamed import NotFinite, Way, streamed
from superres.inference.scheduler import Line
from superres.inference.surveyed import surveyed
from superres.inference.tiled import tiled
from superres.model_spec import NetworkSpec


class NetworkUpscaler:
    """Enlarges pictures with one network; safe to call from several threads.

    Pictures share the device part by part, so a small one does not wait for a large one to end.
    """

    def __init__(self, spec: NetworkSpec, network: nn.Module, device: Device) -> None:
        self.spec = spec
        self.device = device
        self.runner = Runner(spec, network, device)
        self.max_tile_pixels: int | None = None  # pixels a tile, learned from running out of memory
        self.can_stream = True  # until a stream runs out of memory

    @property
    def network(self) -> nn.Module:
        """The network on its device, in its number format."""
        return self.runner.network

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
    ) -> Result:
        """`pixels` (h, w, 3 or 1), uint8 or uint16, enlarged `scale` times in the same format.

        `tile` is a tile's edge in input pixels, 0 to choose the cheapest exact way from free
        memory; `overlap` defaults to the model's own. `progress` is called after every part with
        parts done and in all; an error it raises ends the work. Raises OutOfMemory where even small
        tiles do not fit, Failed if the output is not finite.
        """
        return self.stream(pixels, tile, overlap, progress).read_all()

    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> RowStream:
        """As `upscale`, but the rows as they are made."""
        job = FrameJob(pixels, progress)
        rows = self.rows(job, tile, overlap)
        return RowStream(job.size.times(self.spec.scale), rows, job.cost)

    def rows(self, job: FrameJob, tile: int, overlap: int | None) -> Iterator[Pixels]:
        """The rows of the result; the rest of what does not fit into memory is planned anew."""
        peak = self.device.peak()
        full = False
        while job.done < job.size.height * self.spec.scale:
            plan = self.plan(job.size, tile, overlap)
            try:
                with self.device.scheduler.line() as line:
                    for rows in self.execute(plan, job, line, full):
                        job.done += len(rows)
                        yield rows
            except torch.OutOfMemoryError as error:
                tile = self.reduce_tile_size(job.size, plan, tile, overlap, error)
            except NotFinite:
                if full or self.runner.dtype == torch.float32:
                    raise
                full = True
                job.cost.redone += 1
        job.cost.peak_memory = peak()

    def execute(self, plan: Plan, job: FrameJob, line: Line, full: bool) -> Iterator[Pixels]:
        """The rows of a plan that are not done; streamed in `full` precision where asked."""
        if plan.rows:
            way = (
                Way.through(self.spec, self.runner.full_network())
                if full
                else self.streamable_network
            )
            return streamed(plan, job, line, way)
        if self.spec.global_context and len(plan.tiles) > 1:
            return surveyed(plan, job, line, self.runner)
        return tiled(plan, job, line, self.runner)

    @cached_property
    def streamable_network(self) -> Way:
        """The network ready to be streamed."""
        return Way.through(self.spec, self.network)

    def plan(self, size: Size, tile: int = 0, overlap: int | None = None) -> Plan:
        """How a picture of `size` is gone through."""
        if tile:
            return planning.plan_for_tile_size(size, self.spec, tile, overlap)
        share = self.runner.dtype.itemsize / torch.float32.itemsize
        memory = self.device.free(self.spec.cpu_bytes)
        if self.max_tile_pixels:
            memory = min(memory, int(self.max_tile_pixels * self.spec.bytes_per_pixel * share))
        spec = self.spec if self.can_stream else replace(self.spec, stream=None)
        return planning.plan_cheapest(size, spec, memory, share, self.device.device.type == "cpu")

    def reduce_tile_size(
        self, size: Size, made: Plan, tile: int, overlap: int | None, error: torch.OutOfMemoryError
    ) -> int:
        """The tile to ask for where `made` did not fit: half the edge, or 0 to choose from half the
        pixels, remembered for later calls. Raises OutOfMemory where nothing smaller is left.
        """
        if self.device.cuda:
            torch.cuda.empty_cache()
        if made.rows:
            self.can_stream = False
            return tile
        failed = made.tiles[0].outer.size
        self.max_tile_pixels = failed.pixels // 2
        smaller = self.plan(size, tile // 2, overlap).tiles[0].outer.size
        if smaller.pixels >= failed.pixels or self.max_tile_pixels < SMALLEST_TILE**2:
            raise OutOfMemory(
                f"{self.spec.name}: a tile of {failed} pixels does not fit into device memory",
                allowed="a smaller picture, or a device with more free memory",
            ) from error
        return tile // 2
