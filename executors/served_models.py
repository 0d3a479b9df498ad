"""The models an Executor serves, loaded as its settings say."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from executors.settings import Settings
from superres.catalogue import CATALOGUE, model_named
from superres.errors import BadOption, BadSetting
from superres.estimation.calibration import Pace
from superres.estimation.cost import ExecutionTarget, estimate_network
from superres.geometry import Size
from superres.inference.device import Device, device_named
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel
from superres.model_spec import NetworkSpec
from superres.pipeline import Enlarger
from superres.weights.store import Store

if TYPE_CHECKING:
    from superres.faces.enhancer import FaceEnhancer

WARM_EDGE, WARM_EDGE_GPU = 32, 256  # pixels a side
TELLING_SECONDS = 0.05  # below them a tile is not what takes the time


class Described(Protocol):
    """What a catalogue row and the diffusion model's say of themselves."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> int: ...
    @property
    def options(self) -> tuple[str, ...]: ...


class Served(Protocol):
    """A loaded model: what it is, where it runs, and the upscaler for a request's options."""

    @property
    def spec(self) -> Described: ...
    @property
    def device(self) -> Device: ...

    @property
    def upscaler(self) -> Callable[..., Enlarger]: ...


def device_of(settings: Settings) -> Device:
    """The device and number format that the operator chose. Raises BadSetting."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Device(
        device_named(settings.device),
        settings.precision,  # type: ignore[arg-type] # settings.CHOICES
        settings.memory_limit_mb * 2**20 or None,
        settings.optimize,  # type: ignore[arg-type] # settings.CHOICES
        store_of(settings).cache() if settings.optimize == "max" else None,
    )


def place_of(model: Served) -> ExecutionTarget:
    """Where a model runs, as the cost model wants to know it."""
    spec, device = model.spec, model.device
    if not isinstance(spec, NetworkSpec):
        return ExecutionTarget(device.free(), device.device.type == "cpu")
    half = device.dtype(spec) != torch.float32
    return ExecutionTarget(device.free(spec.cpu_bytes), device.device.type == "cpu", half)


def warm_up(models: Mapping[str, Served], pace: Pace) -> None:
    """Compute a small tile with each model, so that no request pays for what only happens once.

    The second time tells how fast the model is here. Raises what the model raises.
    """
    for name, model in models.items():
        if not isinstance(model.spec, NetworkSpec):
            continue  # the diffusion upscaler's smallest picture takes minutes on a CPU
        place = place_of(model)
        edge = WARM_EDGE if place.on_cpu else WARM_EDGE_GPU
        tile = np.zeros((edge, edge, 3), np.uint8)
        enlarger = model.upscaler()
        if isinstance(enlarger, NetworkUpscaler) and model.device.cuda:
            # Graphs are captured, and networks compiled, for a shape that comes again and again.
            enlarger.runner.warm_up(Size(edge, edge))
        seconds = [enlarger.upscale(tile, 0, None, silent).seconds for _ in range(2)]
        if seconds[1] > TELLING_SECONDS:
            pace.note(
                name, estimate_network(Size(edge, edge), model.spec, place).seconds, seconds[1]
            )


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def store_of(settings: Settings) -> Store:
    """Where the operator keeps weights."""
    return Store.from_environment(settings.cache_dir, settings.offline or None)


def load_models(system: str, settings: Settings) -> dict[str, NetworkModel]:
    """The models of a system by name, the default first.

    Raises Misconfigured where a name is unknown or weights cannot be had.
    """
    own = {name: spec for name, spec in CATALOGUE.items() if spec.system == system}
    wanted = settings.models or (settings.model or next(iter(own)),)
    try:
        specs = [model_named(name, own) for name in wanted]
    except BadOption as error:
        raise BadSetting(str(error), option="models") from error
    device, store = device_of(settings), store_of(settings)
    return {spec.name: NetworkModel(spec, device, store, settings.weights) for spec in specs}


def load_faces(models: Mapping[str, Served], settings: Settings) -> "FaceEnhancer | None":
    """The face model that the operator names, on the models' device; none by default."""
    if settings.face_model is None:
        return None
    from superres.faces.enhancer import FaceEnhancer

    device = next(iter(models.values())).device.device
    return FaceEnhancer.from_store(settings.face_model, device, store_of(settings))
