"""All cells of a comparison, one after the other, with a bar that says how long it still takes."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from evaluation.machine import machine
from superres.comparison.cells import CellStore, NotMeasured, Values
from superres.comparison.contenders import Contender, Place
from superres.comparison.crops import CropPlan, plan_crops
from superres.comparison.images import list_sets
from superres.comparison.loads import list_loads, measure_loads
from superres.comparison.measuring.worker import Worker, choose_time_limit
from superres.comparison.plan import CellTask, Originals, Planner
from superres.comparison.settings import CompareSettings

__all__ = ["Comparison"]


class Comparison:
    """A comparison: what takes part, and the cells that were measured of it."""

    def __init__(
        self, settings: CompareSettings, contenders: Sequence[Contender], places: Sequence[Place]
    ) -> None:
        """Read the images. Raises BadOption where a folder has none."""
        self.settings = settings
        self.contenders = contenders
        self.places = places
        self.machine = machine()
        self.store = CellStore(settings.output / "cells")
        self.sets = {
            name: Originals.of(images)
            for name, images in list_sets(settings.sets, settings.limit).items()
        }
        self.crops: list[CropPlan] = plan_crops(settings, {c.scale for c in contenders})
        self._paces: dict[tuple[Contender, Place], float] = {}

    def run(self) -> None:
        """Measure every cell that is not kept from an earlier run, and write the crops."""
        tasks = {
            (contender, place): list(
                Planner(self.settings, contender, place, self.sets, self.crops, self.machine).plan()
            )
            for contender in self.contenders
            for place in self.places
        }
        loads = list_loads(self.settings, self.contenders)
        total = sum(load.expected_seconds for load in loads)
        total += sum(self._expect(task, *who) for who, planned in tasks.items() for task in planned)
        for crop in self.crops:
            crop.write_references()
        with tqdm(total=total, unit="s", file=sys.stderr, disable=None, bar_format=_BAR) as bar:
            for (contender, place), planned in tasks.items():
                expected = [self._expect(task, contender, place) for task in planned]
                with Worker(contender, place) as worker:
                    for task, seconds in zip(planned, expected, strict=True):
                        bar.set_description_str(f"{contender.name} {place}: {task.key.kind}")
                        self._measure(task, worker)
                        bar.update(seconds)
            bar.set_description_str("service")
            for load in measure_loads(loads, self.store, self.machine, self.settings.max_seconds):
                bar.update(load.expected_seconds)

    def _expect(self, task: CellTask, contender: Contender, place: Place) -> float:
        """Return what a task takes at the pace known so far, at most the time a cell may take."""
        pace = self._paces.get((contender, place), contender.seconds_per_megapixel)
        seconds = task.expect_seconds(pace)
        return seconds if seconds <= self.settings.max_seconds else 0.0

    def _measure(self, task: CellTask, worker: Worker) -> None:
        who, most = (worker.contender, worker.place), self.settings.max_seconds
        seconds = task.expect_seconds(self._paces.get(who, who[0].seconds_per_megapixel))

        def work() -> Values:
            if seconds > most:
                raise NotMeasured(f"about {seconds:.0f} s expected, more than {most:.0f} s")
            return worker.measure(task.function, choose_time_limit(most), *task.arguments)

        cell = self.store.measure(task.key, task.inputs, work)
        if task.key.kind == "cost" and cell.left_out is None:
            self._paces[who] = cell.values["seconds"] / task.pixels * 1e6


_BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, about {remaining} left"
