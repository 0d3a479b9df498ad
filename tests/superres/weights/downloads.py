from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from superres.errors import WeightsCorrupt, WeightsMissing
from superres.model_spec import Weights
from superres.weights.download import download
from tests.superres.weights.publisher import CONTENT, HASTE, Behaviour, promised, publishing


def leftovers(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")]


class Download(NamedTuple):
    ranges: list[str | None]
    error: Exception | None


def run_download(
    target: Path, *behaviours: Behaviour, weights: Weights | None = None, stall: float = 5
) -> Download:
    """What the publisher saw and how it ended; a success is checked here."""
    with publishing(*behaviours) as publisher:
        wanted = replace(weights or promised(""), url=publisher.url)
        try:
            download(wanted, target, replace(HASTE, stall=stall))
        except (WeightsMissing, WeightsCorrupt) as error:
            return Download(publisher.ranges, error)
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == ["weights.pth"]
    return Download(publisher.ranges, None)
