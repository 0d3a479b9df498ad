"""A picture in tiles for a network that sees the whole of it: surveyed first (surveying.py)."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import torch

from superres.geometry import Tile
from superres.image.frame import Pixels
from superres.inference.batch_runner import Made, Part, Runner
from superres.inference.job import FrameJob
from superres.inference.planning import Plan
from superres.inference.scheduler import Line, Work
from superres.inference.tiled import in_rows, inner, remaining
from superres.inference.tiling import crop_with_border, pad_to_minimum
from superres.networks.global_grid import Survey, passes


class Look:
    """A look at tiles of `pixels` for the survey; the seconds it took."""

    def __init__(self, survey: Survey, runner: Runner, pixels: Pixels) -> None:
        self.survey = survey
        self.runner = runner
        self.pixels = pixels

    @torch.inference_mode()
    def __call__(self, tiles: Sequence[Tile]) -> list[float]:
        started = time.perf_counter()
        for tile in tiles:
            self.survey.note(self.runner.seen(crop_with_border(self.pixels, tile.outer)), tile)
        return [(time.perf_counter() - started) / len(tiles)] * len(tiles)


def surveyed(plan: Plan, job: FrameJob, line: Line, runner: Runner) -> Iterator[Pixels]:
    """The rows of the result, from `job.done` on, after a pass over all tiles for every grid."""
    size = pad_to_minimum(job.size, runner.spec)
    survey = Survey(runner.network, size)  # type: ignore[arg-type] # spec.whole says so
    job.begin(plan, passes(survey.network, len(plan.tiles)))
    look = Look(survey, runner, job.pixels)
    for _ in range(survey.network.blocks):
        for tile in plan.tiles:
            job.note(line.submit(Work(look, tile, None, tile.outer.size.pixels)).result())
        survey.close_pass()

    def submit(tile: Tile) -> Future[Made]:
        seen = crop_with_border(job.pixels, tile.outer)
        keep = inner(tile, runner.spec.scale)
        return line.submit(runner.work(Part(seen, keep, lambda x: survey.within(tile.outer, x))))

    yield from in_rows(remaining(plan, job, runner), job, runner, submit)
