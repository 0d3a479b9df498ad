"""An Upscaler: one model on one device, ready to enlarge images of any size."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from superres.errors import OutOfMemory
from superres.geometry import Size
from superres.image.frame import Pixels
from superres.inference.batch_runner import BatchRunner
from superres.inference.device import Device
from superres.inference.job import FrameJob
from superres.inference.planning import MIN_TILE, Plan, plan_cheapest, plan_for_tile_size
from superres.inference.result import Progress, Result, RowStream
from superres.inference.row_streamed import NotFinite, StreamableNetwork, stream_rows
from superres.inference.scheduler import RequestQueue
from superres.inference.surveyed import survey_tiles
from superres.inference.tiled import compute_tiles
from superres.model_spec import ModelSpec, NetworkSpec
from superres.worker_pool import CpuLock


class Upscaler(ABC):
    """Upscales images with one model; safe to call from several threads."""

    spec: ModelSpec
    device: Device

    @abstractmethod
    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
        plan: Plan | None = None,
    ) -> RowStream:
        """Upscale an image; the work is done while its rows are taken.

        Args:
            pixels: (h, w, 3 or 1), uint8 or uint16.
            tile: A tile's edge in input pixels, 0 to choose the cheapest exact way from free
                memory.
            overlap: Input pixels that a tile sees beyond its core on each side; None for the
                model's own.
            progress: Called after every part with parts done and in all; an error it raises ends
                the work.
            plan: What an estimate has planned for such an image; planned anew where it is None or
                of another size.

        Returns:
            The rows (n, scale·w, 3 or 1) from top to bottom, in the format of `pixels`.

        Raises:
            OutOfMemory: Even small tiles do not fit.
            Failed: The output is not finite.
        """

    def upscale(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Result:
        """Upscale an image; as `stream`, but all rows at once."""
        return self.stream(pixels, tile, overlap, progress).read_all()

    @property
    def report(self) -> Mapping[str, Any]:
        """What the model tells of its work beside the cost, such as the seed it used."""
        return {}

    @property
    def cpu_lock(self) -> CpuLock | None:
        """What lends the cores where the model computes on several, None where it does not."""
        is_alone = self.device.device.type != "cpu" or torch.get_num_threads() <= 1
        return None if is_alone else self.device.scheduler.lock


class NetworkUpscaler(Upscaler):
    """Upscales images with one network.

    Images share the device part by part, so a small one does not wait for a large one to end.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        network: nn.Module,
        device: Device,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec: NetworkSpec = spec
        self.weights_report = report or {}
        self.device = device
        self.runner = BatchRunner(spec, network, device)
        self.max_tile_pixels: int | None = None  # learned from running out of memory
        self.can_stream = True  # until a stream runs out of memory

    @property
    def report(self) -> Mapping[str, Any]:
        """What is to be known of the weights: their precision, the strength of denoising."""
        return self.weights_report

    @property
    def network(self) -> nn.Module:
        """The network on its device, in its number format."""
        return self.runner.network

    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
        plan: Plan | None = None,
    ) -> RowStream:
        """Upscale an image in whole, in tiles or row by row; see Upscaler."""
        job = FrameJob(pixels, progress)
        if plan is not None and plan.size != job.size:
            plan = None
        rows = self.rows(job, tile, overlap, plan)
        return RowStream(job.size.times(self.spec.scale), rows, job.cost)

    def rows(
        self, job: FrameJob, tile: int, overlap: int | None, plan: Plan | None
    ) -> Iterator[Pixels]:
        """Yield the rows of the result; the rest of what does not fit into memory is
        planned anew.
        """
        peak = self.device.peak()
        full = False
        while job.rows_done < job.size.height * self.spec.scale:
            plan = plan or self.plan(job.size, tile, overlap)
            try:
                with self.device.scheduler.open_queue() as queue:
                    for rows in self.execute(plan, job, queue, full):
                        job.rows_done += len(rows)
                        yield rows
            except torch.OutOfMemoryError as error:
                tile = self.reduce_tile_size(job.size, plan, tile, overlap, error)
                plan = None
            except NotFinite:
                if full or self.runner.dtype == torch.float32:
                    raise
                full = True
                job.cost.redone += 1
        job.cost.peak_memory = peak()

    def execute(
        self, plan: Plan, job: FrameJob, queue: RequestQueue, full: bool
    ) -> Iterator[Pixels]:
        """Return the rows of a plan that are not done; streamed in `full` precision where asked."""
        if plan.rows:
            way = (
                StreamableNetwork.through_network(self.spec, self.runner.copy_in_fp32())
                if full
                else self.streamable_network
            )
            return stream_rows(plan, job, queue, way)
        if self.spec.global_context and len(plan.tiles) > 1:
            return survey_tiles(plan, job, queue, self.runner)
        return compute_tiles(plan, job, queue, self.runner)

    @cached_property
    def streamable_network(self) -> StreamableNetwork:
        """The network ready to be streamed."""
        return StreamableNetwork.through_network(self.spec, self.network)

    def plan(self, size: Size, tile: int = 0, overlap: int | None = None) -> Plan:
        """Return how an image of `size` is gone through."""
        if tile:
            return plan_for_tile_size(size, self.spec, tile, overlap)
        share = self.runner.dtype.itemsize / torch.float32.itemsize
        memory = self.device.free(self.spec.cpu_bytes)
        if self.max_tile_pixels:
            memory = min(memory, int(self.max_tile_pixels * self.spec.bytes_per_pixel * share))
        spec = self.spec if self.can_stream else replace(self.spec, stream=None)
        return plan_cheapest(size, spec, memory, share, self.device.device.type == "cpu", overlap)

    def reduce_tile_size(
        self, size: Size, made: Plan, tile: int, overlap: int | None, error: torch.OutOfMemoryError
    ) -> int:
        """Return the tile to ask for where `made` did not fit: half the edge, or 0 to choose from
        half the pixels, remembered for later calls. Raises OutOfMemory where nothing smaller is
        left.
        """
        if self.device.cuda:
            torch.cuda.empty_cache()
        if made.rows:
            self.can_stream = False
            return tile
        failed = made.tiles[0].outer.size
        self.max_tile_pixels = failed.pixels // 2
        smaller = self.plan(size, tile // 2, overlap).tiles[0].outer.size
        if smaller.pixels >= failed.pixels or self.max_tile_pixels < MIN_TILE**2:
            raise OutOfMemory(
                f"{self.spec.name}: a tile of {failed} pixels does not fit into device memory",
                allowed="a smaller image, or a device with more free memory",
            ) from error
        return tile // 2
