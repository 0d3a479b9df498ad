"""What each model costs on this machine: measured once, in the background, and kept."""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from superres.errors import SuperresError
from superres.estimation.calibration import PaceTracker
from superres.estimation.kept_costs import KeptCosts
from superres.estimation.processor import read_processor_name
from superres.model_loader import LoadedModel, NetworkModel

__all__ = ["CostMeter", "ModelCost"]

logger = logging.getLogger(__name__)

_EXPECTED_SECONDS = 0.3  # of one run: so long may a request wait that comes meanwhile
_MIN_SIDE, _MAX_SIDE = 32, 512  # pixels
_RUNS = 3
_IDLE_SECONDS = 5.0  # without a request before a model is measured


class ModelCost(NamedTuple):
    """Seconds per megapixel of input; the catalogue's, at the pace of this machine, where it was
    not measured.
    """

    seconds_per_megapixel: float
    measured: bool

    def as_tag(self) -> dict[str, Any]:
        """Return what /models says of it."""
        seconds = float(f"{self.seconds_per_megapixel:.3g}")
        return {"seconds_per_megapixel": seconds, "measured": self.measured}


class CostMeter:
    """Measures the models of an Executor while nobody uses it.

    `kept` None keeps nothing; `is_busy` says whether there are requests. The diffusion upscaler
    takes minutes for its smallest image and is never measured.
    """

    def __init__(
        self,
        models: Mapping[str, LoadedModel],
        kept: KeptCosts | None,
        pace: PaceTracker,
        is_busy: Callable[[], bool],
    ) -> None:
        self._models = models
        self._kept = kept
        self._pace = pace
        self._is_busy = is_busy
        self._stopped = threading.Event()
        self._costs: dict[str, float] = {}
        for name, model in models.items():
            if kept is None or not isinstance(model, NetworkModel):
                continue
            seconds = kept.find(_describe(model))
            if seconds is not None:
                self._costs[name] = seconds

    def find(self, name: str) -> ModelCost:
        """Find the cost of a model that is served."""
        seconds = self._costs.get(name)
        if seconds is not None:
            return ModelCost(seconds, measured=True)
        spec = self._models[name].spec
        return ModelCost(spec.seconds_per_megapixel * self._pace.get_pace(name), measured=False)

    def start(self) -> None:
        """Measure in a thread what is not known yet."""
        if self._list_missing():
            threading.Thread(target=self._measure_all, name="costs", daemon=True).start()

    def stop(self) -> None:
        """Measure nothing more."""
        self._stopped.set()

    def _list_missing(self) -> dict[str, NetworkModel]:
        return {
            name: model
            for name, model in self._models.items()
            if name not in self._costs and isinstance(model, NetworkModel)
        }

    def _measure_all(self) -> None:
        for name, model in self._list_missing().items():
            if not self._wait_until_idle():
                return
            try:
                with self._kept.lock() if self._kept else nullcontext():
                    seconds = self._measure(model)
            except (SuperresError, RuntimeError, CancelledError) as error:
                if self._stopped.is_set() or not threading.main_thread().is_alive():
                    return  # the end of the process has ended the work
                logger.warning("the cost of model %s could not be measured: %s", name, error)
                continue
            if seconds is None:
                return
            self._costs[name] = seconds
            if self._kept:
                self._kept.keep(_describe(model), seconds)

    def _measure(self, model: NetworkModel) -> float | None:
        """Return the least of a few runs, None where it was stopped meanwhile."""
        expected = model.spec.seconds_per_megapixel
        side = int(math.sqrt(_EXPECTED_SECONDS / expected * 1e6))
        side = min(max(side, _MIN_SIDE), _MAX_SIDE)
        pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        runs: list[float] = []
        while len(runs) <= _RUNS:
            if self._stopped.is_set() or (self._is_busy() and not self._wait_until_idle()):
                return None
            runs.append(model.upscaler().upscale(pixels).cost.seconds)
        return min(runs[1:]) / side**2 * 1e6  # the first one may make things ready

    def _wait_until_idle(self) -> bool:
        """Wait until there was no request for a while; return False where it was stopped."""
        idle = 0.0
        while idle < _IDLE_SECONDS:
            if self._stopped.wait(_IDLE_SECONDS / 10):
                return False
            idle = 0.0 if self._is_busy() else idle + _IDLE_SECONDS / 10
        return True


def _describe(model: NetworkModel) -> dict[str, Any]:
    """Return what a cost depends on."""
    device = model.device.device
    is_cuda = device.type == "cuda"
    file = model.path.stat() if model.path.name and model.path.exists() else None
    return {
        "processor": torch.cuda.get_device_name(device) if is_cuda else read_processor_name(),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": str(model.device.dtype(model.spec)),
        "optimize": model.device.optimize,
        "model": model.spec.name,
        "weights": [model.path.name, file.st_size if file else 0],
    }
