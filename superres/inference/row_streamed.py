"""An image streamed through a network row by row (superres/networks/streaming/stages.py)."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from superres.errors import Failed
from superres.geometry import Box, Tile
from superres.image.frame import Pixels
from superres.inference.job import FrameJob
from superres.inference.planning import Plan
from superres.inference.quantize import PixelFormat, quantize, to_host, to_tensor
from superres.inference.result import split_into_strips
from superres.inference.scheduler import RequestQueue, Task
from superres.inference.tiling import crop_with_border
from superres.model_spec import NetworkSpec
from superres.networks.streaming.stages import StageMaker

_STEPS_AHEAD = 2  # submitted while the rows of an earlier one are taken


class NotFinite(Failed):
    """A step gave numbers that are not finite."""


class Step(NamedTuple):
    """The input's rows that come next; `bottom` exclusive."""

    top: int
    bottom: int


class StepResult(NamedTuple):
    """Rows (n, w, c) of the result, none at first, and the seconds they took."""

    pixels: Pixels
    seconds: float


@dataclass(frozen=True)
class StreamableNetwork:
    """A network ready to be streamed, and where and in which format it computes."""

    spec: NetworkSpec
    stages: StageMaker
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def through_network(cls, spec: NetworkSpec, network: nn.Module) -> "StreamableNetwork":
        """Prepare a network, as it lies on its device. Prepared once for all
        images.
        """
        assert spec.stream is not None
        like = next(network.parameters())
        return cls(spec, spec.stream.stages(network), like.device, like.dtype)


class PanelStream:
    """One panel of an image on its way through a network.

    `panel.outer` is what the network sees, a part of the image's columns in full height; what
    sticks out of the image repeats the border. Only the columns of `panel.core` are given back.
    """

    def __init__(self, network: StreamableNetwork, pixels: Pixels, panel: Tile) -> None:
        self.spec = network.spec
        self.stages = network.stages(panel.outer.size)
        self.pixels = pixels
        self.panel = panel
        self.device = network.device
        self.dtype = network.dtype
        self.made = 0  # rows of the result, those below the image's end included

    def __call__(self, steps: Sequence[Step]) -> list[StepResult]:
        """Return the next rows of the result, for each of the next steps. Raises NotFinite."""
        return [self.step(step) for step in steps]

    @torch.inference_mode()
    def step(self, step: Step) -> StepResult:
        """Return the next rows of the result. Raises NotFinite."""
        started = time.perf_counter()
        outer, core, scale = self.panel.outer, self.panel.core, self.spec.scale
        seen = crop_with_border(self.pixels, Box(outer.left, step.top, outer.right, step.bottom))
        x = (
            to_tensor(seen, self.device)
            .to(self.dtype)
            .contiguous(memory_format=torch.channels_last)
        )
        made = self.stages.push(x, step.bottom == outer.bottom)
        wanted = min(made.shape[2], core.bottom * scale - self.made)
        self.made += made.shape[2]
        columns = slice((core.left - outer.left) * scale, (core.right - outer.left) * scale)
        kept = made[:, :, : max(wanted, 0), columns]
        kind = PixelFormat.of(self.pixels)
        levels, finite = quantize(kind.to_channels(kept), kind.max_level, kind.dtype)
        if not bool(finite.all()):
            raise NotFinite(f"{self.spec.name} gave numbers that are not finite", code="NON_FINITE")
        return StepResult(to_host(levels[0]), time.perf_counter() - started)


def stream_rows(
    plan: Plan, job: FrameJob, queue: RequestQueue, network: StreamableNetwork
) -> Iterator[Pixels]:
    """Yield the rows of the result from `job.done` on; of several panels once all of them are
    there.
    """
    spec = network.spec
    streams = [PanelStream(network, job.pixels, tile) for tile in plan.tiles]
    passes = spec.stream.passes if spec.stream else 1
    steps = [passes * _make_steps(tile.outer.bottom, plan.rows) for tile in plan.tiles]
    job.begin(plan, sum(map(len, steps)))
    above = job.rows_done
    if len(streams) == 1:
        yield from skip_rows(_run_steps(streams[0], steps[0], job, queue), above)
        return
    height, width, channels = job.pixels.shape
    result = np.empty((height * spec.scale, width * spec.scale, channels), job.pixels.dtype)
    for stream, own in zip(streams, steps, strict=True):
        core, top = stream.panel.core, 0
        for rows in _run_steps(stream, own, job, queue):
            bottom = top + len(rows)
            result[top:bottom, core.left * spec.scale : core.right * spec.scale] = rows
            top = bottom
    yield from split_into_strips(result[above:])


def _make_steps(height: int, rows: int) -> list[Step]:
    """Return the steps of one pass over a panel of `height` rows."""
    return [Step(top, min(top + rows, height)) for top in range(0, height, rows)]


def _run_steps(
    stream: PanelStream, steps: list[Step], job: FrameJob, queue: RequestQueue
) -> Iterator[Pixels]:
    """Yield the rows of one panel; further steps are submitted before they are taken."""
    width = stream.panel.outer.size.width
    ahead: deque[Future[StepResult]] = deque()
    for step in steps:
        ahead.append(queue.submit(Task(stream, step, None, (step.bottom - step.top) * width)))
        if len(ahead) > _STEPS_AHEAD:
            yield from _take_rows(ahead.popleft(), job)
    while ahead:
        yield from _take_rows(ahead.popleft(), job)


def _take_rows(future: Future[StepResult], job: FrameJob) -> Iterator[Pixels]:
    """Yield the rows of a step, if it gave any."""
    made = future.result()
    job.finish_part(made.seconds)
    if len(made.pixels):
        yield made.pixels


def skip_rows(strips: Iterator[Pixels], skipped: int) -> Iterator[Pixels]:
    """Yield `strips` without their first `skipped` rows."""
    for rows in strips:
        if skipped < len(rows):
            yield rows[skipped:]
        skipped = max(skipped - len(rows), 0)
