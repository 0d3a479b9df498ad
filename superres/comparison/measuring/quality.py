"""How near to an original a contender comes from its reduced, and perhaps damaged, version."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from evaluation.damages import DAMAGES
from evaluation.metrics import METRICS
from evaluation.protocol import Pixels, bicubic, crop_to_multiple
from superres.comparison.cells import Values
from superres.comparison.images import ImageSource
from superres.comparison.measuring.subject import Subject

__all__ = ["measure_quality", "reduce_image"]


def measure_quality(
    subject: Subject, images: Sequence[ImageSource], damage: str, metrics: Sequence[str]
) -> Values:
    """Measure a set of originals, each reduced by MATLAB's bicubic and damaged.

    Args:
        subject: The contender.
        images: Originals.
        damage: A key of DAMAGES; an image's place in the set is its seed.
        metrics: Keys of METRICS.

    Returns:
        `images`: the measures by name of each image; `mean`: their means, of those that are not
        None.
    """
    found: dict[str, dict[str, float | None]] = {}
    for seed, source in enumerate(images):
        original, small = reduce_image(source.read(), subject.scale, damage, seed)
        larger = subject.upscale(small).pixels.astype(np.uint8, copy=False)
        found[source.name] = _measure_all(metrics, larger, original, subject.scale)
    columns = {name: [values[name] for values in found.values()] for name in metrics}
    known = {name: [v for v in column if v is not None] for name, column in columns.items()}
    means = {name: round(fmean(column), 5) for name, column in known.items() if column}
    return {"images": found, "mean": means}


def reduce_image(pixels: Pixels, scale: int, damage: str, seed: int) -> tuple[Pixels, Pixels]:
    """Return an original cropped to a multiple of `scale`, and its reduced, damaged version."""
    original = crop_to_multiple(pixels, scale)
    height, width = (side // scale for side in original.shape[:2])
    return original, DAMAGES[damage](bicubic(original, width, height), seed)


def _measure_all(
    metrics: Sequence[str], larger: Pixels, original: Pixels, shave: int
) -> dict[str, float | None]:
    """Return all measures of a result; those that follow from others come last in METRICS."""
    found: dict[str, float | None] = {}
    for name in metrics:
        metric = METRICS[name]
        if metric.compute is not None:
            value = metric.compute(larger, original, shave)
        else:
            value = metric.derive(found) if metric.derive else None
        found[name] = None if value is None else round(value, 5)
    return found
