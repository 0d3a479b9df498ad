"""A contender made ready at a place, in the process that measures it."""

import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from evaluation.footprint import peak, start_afresh
from evaluation.protocol import Pixels
from superres.comparison.contenders import BICUBIC, Contender, Place
from superres.diffusion.spec import SPEC, DiffusionSpec
from superres.inference.device import Device, find_device
from superres.inference.result import Cost, Result
from superres.model_loader import LoadedModel, NetworkModel
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
        self.model: LoadedModel | None = None
        if contender.system != BICUBIC:
            device = Device(find_device(place.device), place.precision)  # type: ignore[arg-type]
            self.model = _load_model(contender, device)
        # The diffusion upscaler takes minutes, and a seed: it draws its noise by that.
        options = {"seed": 0} if contender.system == SPEC.system else {}
        self.upscaler = self.model.upscaler(**options) if self.model else None
        if not options:
            self.upscale(np.zeros((_WARM_SIDE, _WARM_SIDE, 3), np.uint8))
        self.idle_mb = start_afresh()

    def get_model(self) -> LoadedModel:
        """Return the model. Raises LookupError for bicubic interpolation."""
        if self.model is None:
            raise LookupError(f"{self.contender.name} is no model")
        return self.model

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


class _RandomModel(NetworkModel):
    """A model with random weights, which costs what the trained one does."""

    def __init__(self, spec: NetworkSpec, device: Device) -> None:
        torch.manual_seed(0)
        self.spec = spec
        self.device = device
        self.states, self.path = [], Path()
        self.has_half_weights = False
        self.upscalers = {}


def _load_model(contender: Contender, device: Device) -> LoadedModel:
    spec, store = contender.spec, Store.from_environment(offline=True)
    if isinstance(spec, DiffusionSpec):
        from superres.diffusion.model import DiffusionModel

        return DiffusionModel(spec, device, store, contender.file)
    assert isinstance(spec, NetworkSpec)
    if not contender.has_weights:
        return _RandomModel(spec, device)
    return NetworkModel(spec, device, store, contender.file)
