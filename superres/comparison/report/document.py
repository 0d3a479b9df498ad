"""A comparison as data: everything that its reports say, each figure with the cell it is from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superres.comparison.cells import CellKey, Values
from superres.comparison.contenders import Contender, Place
from superres.comparison.crops import CropPlan
from superres.comparison.loads import PLACE
from superres.comparison.run import Comparison

__all__ = ["Entrant", "Report"]

_RANDOM = "random"  # in place of the fingerprint of weights


@dataclass(frozen=True)
class Entrant:
    """A contender at a place, as one row of a table."""

    contender: Contender
    place: Place

    label: str  # its name, with the place where there are several


@dataclass(frozen=True)
class Report:
    """The cells of a comparison, and what they were measured with."""

    machine: Values
    settings: Values
    contenders: Sequence[Contender]
    places: Sequence[Place]
    cells: Mapping[CellKey, Values]
    left_out: Mapping[str, str]
    crops: Sequence[CropPlan]
    crop_folder: Path

    @classmethod
    def of(cls, comparison: Comparison) -> "Report":
        """Return the report of a comparison that has run."""
        settings = comparison.settings
        cells = comparison.store.cells.items()
        return cls(
            {**comparison.machine},
            {
                "sides": settings.sides,
                "sets": {name: len(found.images) for name, found in comparison.sets.items()},
                "damages": settings.damages,
                "metrics": settings.metrics,
                "clients": settings.clients,
                "max_seconds": settings.max_seconds,
                "max_memory_mb": settings.max_memory_mb,
                "seeds": "noise: the image's place in its set; text and drawings: their number",
            },
            comparison.contenders,
            comparison.places,
            {key: cell.values for key, cell in cells if cell.left_out is None},
            dict(comparison.store.list_left_out()),
            comparison.crops,
            settings.output / "crops",
        )

    @classmethod
    def read(cls, text: str) -> "Report":
        """Return the report that `as_json` has written; without crops."""
        whole = json.loads(text)
        contenders = [
            Contender(
                one["name"],
                one["system"],
                one["scale"],
                one["seconds_per_megapixel"],
                has_weights=one["weights"] != _RANDOM,
                fingerprint=one["weights"],
            )
            for one in whole["contenders"]
        ]
        places = [Place(*name.rsplit("-", 1)) for name in whole["places"]]
        cells = {CellKey(*name.split("/", 3)): values for name, values in whole["cells"].items()}
        settings, left_out = whole["settings"], whole["left_out"]
        return cls(whole["machine"], settings, contenders, places, cells, left_out, [], Path())

    @property
    def entrants(self) -> list[Entrant]:
        """Who was measured, and where."""
        return [self.find_entrant(c, place) for c in self.contenders for place in self.places]

    def find_entrant(self, contender: Contender, place: Place) -> Entrant:
        """Return a contender at a place."""
        label = contender.name if len(self.places) == 1 else f"{contender.name} ({place})"
        return Entrant(contender, place, label)

    def get(self, kind: str, entrant: Entrant, subject: str) -> tuple[CellKey, Values] | None:
        """Return a cell with its key, None where it was not measured."""
        place = PLACE if kind == "service" else str(entrant.place)
        key = CellKey(kind, entrant.contender.name, place, subject)
        return (key, self.cells[key]) if key in self.cells else None

    def find_quality(self, entrant: Entrant, subject: str, metric: str) -> float | None:
        """Return the mean of a metric over a set and damage, None where it was not measured."""
        found = self.get("quality", entrant, subject)
        return found[1]["mean"].get(metric) if found else None

    def find_baseline(self, entrant: Entrant) -> Entrant:
        """Return bicubic interpolation of the same scale, on the first place."""
        scale = entrant.contender.scale
        bicubic = next(c for c in self.contenders if c.name == f"bicubic.x{scale}")
        return self.find_entrant(bicubic, self.places[0])

    @property
    def reference_side(self) -> int:
        """The largest side that everyone was measured with; the smallest where there is none."""
        sides = [
            side
            for side in self.settings["sides"]
            if all(self.get("cost", entrant, f"{side}x{side}") for entrant in self.entrants)
        ]
        smallest: int = min(self.settings["sides"])
        return max(sides, default=smallest)

    def as_json(self) -> str:
        """Return all of it as JSON text: the machine, the settings, who took part, every cell."""
        contenders = [
            {
                "name": c.name,
                "scale": c.scale,
                "system": c.system,
                "seconds_per_megapixel": c.seconds_per_megapixel,
                "weights": c.fingerprint or ("none" if c.has_weights else _RANDOM),
            }
            for c in self.contenders
        ]
        whole: dict[str, Any] = {
            "machine": self.machine,
            "settings": self.settings,
            "contenders": contenders,
            "places": list(map(str, self.places)),
            "cells": {str(key): values for key, values in self.cells.items()},
            "left_out": self.left_out,
        }
        return json.dumps(whole, indent=1) + "\n"
