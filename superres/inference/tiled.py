"""An image computed tile by tile: submitted ahead, put together in full-width strips."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import groupby

import numpy as np

from superres.geometry import Box, Tile
from superres.image.frame import Pixels
from superres.inference.batch_runner import BatchRunner, TileInput, TileResult
from superres.inference.job import FrameJob
from superres.inference.planning import Plan
from superres.inference.scheduler import RequestQueue
from superres.inference.tiling import crop_with_border

Submit = Callable[[Tile], Future[TileResult]]


def compute_tiles(
    plan: Plan, job: FrameJob, queue: RequestQueue, runner: BatchRunner
) -> Iterator[Pixels]:
    """Return the rows of the result, from `job.done` on."""

    def submit(tile: Tile) -> Future[TileResult]:
        part = TileInput(
            crop_with_border(job.pixels, tile.outer), locate_core(tile, runner.spec.scale)
        )
        return queue.submit(runner.make_task(part))

    rest = list_remaining(plan, job, runner)
    job.begin(plan, len(rest))
    return yield_strips(rest, job, runner, submit)


def list_remaining(plan: Plan, job: FrameJob, runner: BatchRunner) -> list[Tile]:
    """Return the tiles of which some rows were not given out."""
    return [tile for tile in plan.tiles if tile.core.bottom * runner.spec.scale > job.rows_done]


def yield_strips(
    tiles: list[Tile], job: FrameJob, runner: BatchRunner, submit: Submit
) -> Iterator[Pixels]:
    """Yield strips of the tiles that lie beside one another; some are submitted ahead."""
    scale, ahead = runner.spec.scale, runner.count_ahead(tiles[0].outer.size)
    beside = (list(row) for _, row in groupby(tiles, key=lambda tile: tile.core.top))
    waiting: deque[tuple[list[Tile], list[Future[TileResult]]]] = deque()
    while True:
        while sum(len(row) for row, _ in waiting) < ahead and (row := next(beside, None)):
            waiting.append((row, [submit(tile) for tile in row]))
        if not waiting:
            return
        row, futures = waiting.popleft()
        above = max(job.rows_done - row[0].core.top * scale, 0)  # given out before memory ran short
        yield _join_tiles(row, futures, job, scale)[above:]


def _join_tiles(
    row: list[Tile], futures: list[Future[TileResult]], job: FrameJob, scale: int
) -> Pixels:
    """Return the strip (n, w, c) of tiles that lie beside one another."""
    strip: Pixels | None = None
    for tile, future in zip(row, futures, strict=True):
        made = future.result()
        job.cost.redone += made.redone
        job.finish_part(made.seconds)
        if len(row) == 1:
            return made.pixels
        if strip is None:
            height, _, channels = made.pixels.shape
            width = row[-1].core.right * scale
            strip = np.empty((height, width, channels), made.pixels.dtype)
        strip[:, tile.core.left * scale : tile.core.right * scale] = made.pixels
    assert strip is not None
    return strip


def locate_core(tile: Tile, scale: int) -> Box:
    """Return where the core of `tile` lies in the network's result for it."""
    outer, core = tile
    return Box(
        (core.left - outer.left) * scale,
        (core.top - outer.top) * scale,
        (core.right - outer.left) * scale,
        (core.bottom - outer.top) * scale,
    )
