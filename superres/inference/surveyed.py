"""An image in tiles for a network with global context, whose grids are collected first."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import torch

from superres.geometry import Tile
from superres.image.frame import Pixels
from superres.inference.batch_runner import BatchRunner, TileInput, TileResult
from superres.inference.job import FrameJob
from superres.inference.planning import Plan
from superres.inference.scheduler import RequestQueue, Task
from superres.inference.tiled import list_remaining, locate_core, yield_strips
from superres.inference.tiling import crop_with_border, pad_to_minimum
from superres.networks.global_grid import Survey, count_passes


class SurveyStep:
    """A look at tiles of `pixels` for the survey; the seconds it took."""

    def __init__(self, survey: Survey, runner: BatchRunner, pixels: Pixels) -> None:
        self.survey = survey
        self.runner = runner
        self.pixels = pixels

    @torch.inference_mode()
    def __call__(self, tiles: Sequence[Tile]) -> list[float]:
        started = time.perf_counter()
        for tile in tiles:
            self.survey.collect(
                self.runner.to_input(crop_with_border(self.pixels, tile.outer)), tile
            )
        return [(time.perf_counter() - started) / len(tiles)] * len(tiles)


def survey_tiles(
    plan: Plan, job: FrameJob, queue: RequestQueue, runner: BatchRunner
) -> Iterator[Pixels]:
    """Yield the rows of the result, from `job.done` on, after a pass over all tiles for
    every grid.
    """
    size = pad_to_minimum(job.size, runner.spec)
    survey = Survey(runner.network, size)  # type: ignore[arg-type] # spec.whole says so
    job.begin(plan, count_passes(survey.network, len(plan.tiles)))
    look = SurveyStep(survey, runner, job.pixels)
    for _ in range(survey.network.block_count):
        for tile in plan.tiles:
            job.finish_part(queue.submit(Task(look, tile, None, tile.outer.size.pixels)).result())
        survey.close_pass()

    def submit(tile: Tile) -> Future[TileResult]:
        seen = crop_with_border(job.pixels, tile.outer)
        keep = locate_core(tile, runner.spec.scale)
        return queue.submit(
            runner.make_task(
                TileInput(seen, keep, lambda x: survey.interpolate_grids(tile.outer, x))
            )
        )

    yield from yield_strips(list_remaining(plan, job, runner), job, runner, submit)
