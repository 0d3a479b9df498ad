"""The cells of one contender at one place, and what each is expected to take."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from superres.comparison.cells import CellKey, Values
from superres.comparison.contenders import BICUBIC, Contender, Place
from superres.comparison.crops import CropPlan
from superres.comparison.images import ImageSource, fingerprint
from superres.comparison.measuring.cost import measure_cost
from superres.comparison.measuring.crop import write_crop
from superres.comparison.measuring.largest import find_largest, try_largest
from superres.comparison.measuring.quality import measure_quality
from superres.comparison.settings import CompareSettings

__all__ = ["CellTask", "Originals", "Planner"]

_METRIC_SECONDS = 6.0  # per megapixel of an original, all metrics
_OTHER_SECONDS = 0.3


class CellSubject(NamedTuple):
    """What a cell measures of whatever contender."""

    kind: str
    name: str


class CellTask(NamedTuple):
    """A cell to be measured. `pixels` of input pass through the model for it."""

    key: CellKey
    pixels: int
    other_seconds: float  # beside the model's
    inputs: Values
    function: Callable[..., Values]
    arguments: tuple[Any, ...]

    def expect_seconds(self, seconds_per_megapixel: float) -> float:
        """Return what it takes with a model of that pace."""
        return seconds_per_megapixel * self.pixels / 1e6 + self.other_seconds


class Originals(NamedTuple):
    """A set of originals: their pixels counted, and what tells them from others."""

    images: tuple[ImageSource, ...]
    pixels: int
    fingerprints: tuple[str, ...]

    @classmethod
    def of(cls, images: Sequence[ImageSource]) -> "Originals":
        """Return the facts of a set."""
        pixels = [image.read() for image in images]
        count = sum(image.shape[0] * image.shape[1] for image in pixels)
        return cls(tuple(images), count, tuple(map(fingerprint, pixels)))


class Planner(NamedTuple):
    """Plans the cells of one contender at one place.

    `sets` are originals by name, for quality; crops of other scales are passed over; `machine` is
    what evaluation.machine tells.
    """

    settings: CompareSettings
    contender: Contender
    place: Place
    sets: Mapping[str, Originals]
    crops: Sequence[CropPlan]
    machine: Mapping[str, Any]

    def plan(self) -> Iterator[CellTask]:
        """Yield the cells, those that tell the contender's pace first."""
        for side in self.settings.sides:
            yield self._make_task(
                CellSubject("cost", f"{side}x{side}"), {}, side * side, measure_cost, side, side
            )
        # Before what leaves something in memory: it counts from what the process had at first.
        if self.contender.has_weights:
            yield from self._plan_crops()
        if self.contender.system != BICUBIC:
            yield from self._plan_largest()
        if self.contender.has_weights:
            yield from self._plan_quality()

    def _make_task(
        self,
        subject: CellSubject,
        inputs: Values,
        pixels: int,
        function: Callable[..., Values],
        *arguments: Any,
    ) -> CellTask:
        is_cuda = self.place.device.startswith("cuda")
        common: Values = {
            "weights": self.contender.fingerprint,
            "processor": self.machine["processor"],
            "threads": self.machine["threads"],
            "device": torch.cuda.get_device_name(self.place.device) if is_cuda else self.place[0],
            "torch": torch.__version__,
        }
        key = CellKey(subject.kind, self.contender.name, str(self.place), subject.name)
        return CellTask(key, pixels, _OTHER_SECONDS, common | inputs, function, arguments)

    def _plan_largest(self) -> Iterator[CellTask]:
        most, seconds = self.settings.max_memory_mb, self.settings.max_seconds
        name = f"{most} MB"
        limit = {"max_mb": most}
        yield self._make_task(CellSubject("largest", name), limit, 0, find_largest, most)
        # As large as the time allows, which is known when the pace is.
        subject, limit = CellSubject("tried", name), limit | {"seconds": int(seconds)}
        task = self._make_task(subject, limit, 0, try_largest, most, 0.7 * seconds)
        yield task._replace(other_seconds=0.7 * seconds)

    def _plan_quality(self) -> Iterator[CellTask]:
        metrics = self.settings.metrics
        for name, originals in self.sets.items():
            inputs = {"images": originals.fingerprints, "metrics": metrics}
            for damage in self.settings.damages:
                task = self._make_task(
                    CellSubject("quality", f"{name} {damage}"),
                    inputs,
                    originals.pixels // self.contender.scale**2,
                    measure_quality,
                    originals.images,
                    damage,
                    metrics,
                )
                yield task._replace(other_seconds=originals.pixels / 1e6 * _METRIC_SECONDS)

    def _plan_crops(self) -> Iterator[CellTask]:
        for crop in self.crops:
            if crop.scale != self.contender.scale:
                continue
            seconds = self.settings.max_seconds
            request = crop.make_request(self.contender, str(self.place), seconds)
            pixels = request.area[2] * request.area[3] if request.area else crop.pixels
            inputs = {"image": crop.fingerprint, "area": request.area, "shown": request.shown}
            yield self._make_task(
                CellSubject("image", crop.name), inputs, pixels, write_crop, request
            )
