"""The largest image that fits into an amount of memory: from the cost model, and tried."""

import re
import time
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from superres.codecs.decode import Limits, decode
from superres.codecs.encode import FORMATS
from superres.codecs.probe import Dimensions
from superres.comparison.cells import Values
from superres.comparison.measuring.subject import Subject
from superres.estimation.cost import Estimate, Workload, estimate_request, sum_host_bytes
from superres.geometry import Size
from superres.model_loader import LoadedModel
from superres.pipeline import OutputOptions, upscale

__all__ = ["find_largest", "try_largest"]

MEBIBYTE = 2**20
_JPEG_BYTES = 0.4  # of a photo, per pixel
_MAX_SIDE = 65_500  # pixels: JPEG's, in which the image comes
_STEP = 16  # pixels
_FREE_SHARE = 0.6  # of the memory that is free, for the one that is tried
_CODEC_SECONDS = 6e-8  # per pixel of the PNG


class _Request(NamedTuple):
    """A square photo that comes as JPEG and goes as PNG, both strip by strip where that is
    possible.
    """

    model: LoadedModel

    def estimate(self, side: int) -> Estimate:
        """Estimate what a photo of `side` pixels takes."""
        return estimate_request(
            Workload(
                int(_JPEG_BYTES * side * side),
                Dimensions("JPEG", Size(side, side), 3),
                "png",
                self.model.spec.scale,
                self.model.estimate,
            )
        )

    def count_bytes(self, side: int) -> int:
        """Return the memory that the estimate has: the device's on CUDA, else the host's."""
        estimate = self.estimate(side)
        if self.model.target.on_cpu:
            return sum_host_bytes(estimate, self.model.target)
        return max(estimate.device_bytes, estimate.host_bytes)


def find_largest(subject: Subject, max_mb: int) -> Values:
    """Find the largest square photo that fits into an amount of memory, by the cost model.

    Args:
        subject: A model.
        max_mb: The amount, in MiB.

    Returns:
        `side` in pixels, `estimated_mb` and `limited_by`: memory, or the side of a JPEG.
    """
    request = _Request(subject.get_model())
    low, high = 1, _MAX_SIDE // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        if request.count_bytes(middle * _STEP) <= max_mb * MEBIBYTE:
            low = middle
        else:
            high = middle - 1
    side = low * _STEP
    return {
        "side": side,
        "estimated_mb": round(request.count_bytes(side) / MEBIBYTE, 1),
        "limited_by": "JPEG" if low == _MAX_SIDE // _STEP else "memory",
    }


def try_largest(subject: Subject, max_mb: int, max_seconds: float) -> Values:
    """Upscale the largest square photo that this machine and the time allow, from JPEG to PNG.

    Args:
        subject: A model.
        max_mb: The most memory, in MiB; less where less is free.
        max_seconds: The time.

    Returns:
        `side` in pixels, `seconds`, `estimated_mb` and `measured_mb` of the host above idle, and
        `device_mb` on CUDA.
    """
    model = subject.get_model()
    fitting = find_largest(subject, min(max_mb, int(_read_free_mb() * _FREE_SHARE)))["side"]
    per_pixel = subject.seconds_per_megapixel / 1e6 + _CODEC_SECONDS * subject.scale**2
    side = max(min(fitting, int((max_seconds / per_pixel) ** 0.5)), 1)
    data = _make_photo(side)
    request = _Request(subject.get_model())
    subject.reset_peak()
    started = time.perf_counter()
    answer = upscale(
        decode(data, Limits(max_bytes=len(data), max_pixels=side * side)),
        model.upscaler(),
        OutputOptions(FORMATS["png"]),
        max_output_pixels=side * side * subject.scale**2,
    )
    seconds = time.perf_counter() - started
    memory = subject.measure_peak(answer.cost)
    return {
        "side": side,
        "seconds": round(seconds, 3),
        "estimated_mb": round(request.count_bytes(side) / MEBIBYTE, 1),
        "measured_mb": memory.pop("peak_mb"),
        **memory,
    }


def _read_free_mb() -> float:
    """Return the memory that a program can have now, in MiB; where nothing tells, 2 GiB."""
    info = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text() if info.exists() else "")
    return int(found[1]) / 1024 if found else 2048.0


def _make_photo(side: int) -> bytes:
    """Return a JPEG with as much detail as a photo: smooth noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (-(-side // 8), -(-side // 8), 3), np.uint8)
    image = PillowImage.fromarray(coarse).resize((side, side), PillowImage.Resampling.BICUBIC)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
