"""A contender made ready at a place, in the process that measures it."""

import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from evaluation.footprint import peak, start_afresh
from evaluation.protocol import Pixels
from superres.comparison.contenders import BICUBIC, Contender, Place
from superres.inference.device import Device, find_device
from superres.inference.result import Cost, Result
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel
from superres.model_spec import NetworkSpec
from superres.weights.store import Store

__all__ = ["Subject"]

_WARM_SIDE = 32  # pixels


class Subject:
    """A contender that upscales. Its memory counts from after its first, tiny image."""

    def __init__(self, contender: Contender, place: Place) -> None:
        self.contender = contender
        self.scale = contender.scale
        self.seconds_per_megapixel = contender.seconds_per_megapixel  # better known once measured
        self.upscaler: NetworkUpscaler | None = None
        if contender.system != BICUBIC:
            device = Device(find_device(place.device), place.precision)  # type: ignore[arg-type]
            self.upscaler = _make_upscaler(contender, device)
        self.upscale(np.zeros((_WARM_SIDE, _WARM_SIDE, 3), np.uint8))
        self.idle_mb = start_afresh()

    @property
    def spec(self) -> NetworkSpec:
        """The row of a model. Raises KeyError for bicubic interpolation."""
        return self.contender.spec

    def upscale(self, pixels: Pixels) -> Result:
        """Upscale an image (h, w, 3) of 8 bits."""
        if self.upscaler is not None:
            return self.upscaler.upscale(pixels)
        started = time.perf_counter()
        image = PillowImage.fromarray(pixels)
        size = (self.scale * image.width, self.scale * image.height)
        larger = np.asarray(image.resize(size, PillowImage.Resampling.BICUBIC))
        return Result(larger, Cost(time.perf_counter() - started))

    def reset_peak(self) -> None:
        """Let peak memory count from now on."""
        start_afresh()

    def measure_peak(self, cost: Cost) -> dict[str, float]:
        """Return the most memory above idle since `reset_peak`, in MiB, and the device's."""
        found = {"peak_mb": round(max(peak() - self.idle_mb, 0), 2)}
        if cost.peak_memory is not None:
            found["device_mb"] = round(cost.peak_memory / 2**20, 2)
        return found


def _make_upscaler(contender: Contender, device: Device) -> NetworkUpscaler:
    spec = contender.spec
    if contender.has_weights:
        store = Store.from_environment(offline=True)
        return NetworkModel(spec, device, store, _get_file(contender)).upscaler()
    torch.manual_seed(0)
    return NetworkUpscaler(spec, spec.build(), device)


def _get_file(contender: Contender) -> Path | None:
    return contender.file
