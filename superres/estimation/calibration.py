"""How fast models are: seconds per megapixel on one machine, and what is learned on this one."""

import threading
from collections.abc import Mapping

from superres.model_spec import NetworkSpec, Speed

# Of input pixels that pass through the network, fp32, both cores of an Intel Xeon. Measured by
# `python -m benchmarks.cost --seconds`.
SECONDS_PER_MEGAPIXEL: Mapping[str, float] = {
    "lanczos.x2": 0.04,
    "lanczos.x3": 0.058,
    "lanczos.x4": 0.078,
    "bicubic_pp.x3": 0.13,
    "bicubic_pp.x2": 0.055,
    "bicubic_pp.x4": 0.16,
    "bicubic_pp.official-x3": 0.13,
    "dipnet.x4": 1.8,
    "lapsrn.x4": 13.6,
    "lapsrn.x2": 2.67,
    "lapsrn.x8": 44.2,
    "lapsrn.x3": 13.5,
    "lapsrn.ms-d5r2-x2": 2.61,
    "lapsrn.ms-d5r2-x4": 13.6,
    "lapsrn.ms-d5r2-x8": 68,
    "lapsrn.ms-d5r5-x4": 28.1,
    "lapsrn.ms-d5r8-x4": 42.6,
    "realesrgan.x4plus": 107,
    "realesrgan.net-x4plus": 107,
    "realesrgan.x2plus": 27,
    "realesrgan.anime-x4": 36,
    "realesrgan.animevideo-x4": 3.3,
    "realesrgan.general-x4": 6.5,
    "swinir.real-x4": 118,
    "swinir.lightweight-x2": 18.5,
    "swinir.lightweight-x3": 19.8,
    "swinir.lightweight-x4": 19.8,
    "swinir.classical-x2": 108,
    "swinir.classical-x3": 110,
    "swinir.classical-x4": 113,
    "swinir.classical-x8": 136,
    "swinir.classical-div2k-x2": 108,
    "swinir.classical-div2k-x3": 110,
    "swinir.classical-div2k-x4": 118,
    "swinir.classical-div2k-x8": 142,
    "swinir.real-x2": 113,
    "swinir.real-x2-psnr": 113,
    "swinir.real-x4-psnr": 117,
    "swinir.real-l-x4": 249,
    "swinir.real-l-x4-psnr": 246,
    "swin2sr.real-x4": 133,
    "swin2sr.classical-x2": 141,
    "swin2sr.classical-x4": 126,
    "swin2sr.lightweight-x2": 65.5,
    "swin2sr.compressed-x4": 127,
}

# Of models without a figure.
SECONDS_BY_SPEED = {Speed.FAST: 1.0, Speed.MEDIUM: 20.0, Speed.SLOW: 120.0}

WEIGHT = 0.2  # of the newest request in what is learned
OUTLIER = 8.0  # times the old value that one request can change it by


def seconds_per_megapixel(spec: NetworkSpec) -> float:
    """What a megapixel of input takes at pace 1."""
    return SECONDS_PER_MEGAPIXEL.get(spec.name, SECONDS_BY_SPEED[spec.speed])


class Pace:
    """How slow each model is here, relative to its figure; learned from finished requests.

    A model of which nothing is known yet is as slow as the others are. Safe to use from threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learned: dict[str, float] = {}

    def of(self, model: str) -> float:
        """Seconds taken per second estimated; 1 where nothing was learned."""
        with self._lock:
            known = list(self._learned.values())
            mean = sum(known) / len(known) if known else 1.0
            return self._learned.get(model, mean)

    def note(self, model: str, estimated: float, taken: float) -> None:
        """Learn from a request whose network part was `estimated` at pace 1, and `taken`."""
        if estimated <= 0 or taken <= 0:
            return
        ratio = taken / estimated
        with self._lock:
            old = self._learned.get(model)
            if old is None:
                self._learned[model] = ratio
                return
            bounded = min(max(ratio, old / OUTLIER), old * OUTLIER)
            self._learned[model] = old * (bounded / old) ** WEIGHT  # ratios: a geometric mean
