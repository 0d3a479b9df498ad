"""The models an Executor serves, loaded as its settings say."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from executors.cost_meter import CostMeter
from executors.model_entries import ModelEntry, resolve_entries
from executors.settings import Settings
from superres.catalogue import CATALOGUE, find_model
from superres.custom.detect import detect_network, make_name
from superres.errors import BadOption, BadSetting
from superres.estimation.calibration import PaceTracker
from superres.estimation.kept_costs import KeptCosts
from superres.geometry import Size
from superres.inference.device import Device, find_device
from superres.model_loader import LoadedModel, NetworkModel
from superres.model_spec import NetworkSpec
from superres.weights.download import find_fault
from superres.weights.sources import Sources
from superres.weights.store import Store

if TYPE_CHECKING:
    from superres.faces.enhancer import FaceEnhancer

WARM_EDGE, WARM_EDGE_GPU = 32, 256  # pixels a side
_TELLING_SECONDS = 0.05  # below them a tile is not what takes the time


def make_device(settings: Settings) -> Device:
    """Return the device and number format that the operator chose. Raises BadSetting."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Device(
        find_device(settings.device),
        settings.precision,  # type: ignore[arg-type] # settings.CHOICES
        settings.memory_limit_mb * 2**20 or None,
        settings.optimize,  # type: ignore[arg-type] # settings.CHOICES
        make_store(settings).cache() if settings.optimize == "max" else None,
    )


def make_cost_meter(
    models: Mapping[str, LoadedModel],
    settings: Settings,
    pace: PaceTracker,
    is_busy: Callable[[], bool],
) -> CostMeter:
    """Return what knows the models' costs here, and measures them where the operator lets it."""
    kept: KeptCosts | None = None
    with suppress(BadSetting):  # no home folder, which matters only to what is downloaded
        kept = KeptCosts(make_store(settings).cache())
    meter = CostMeter(models, kept, pace, is_busy)
    if settings.measure_cost:
        meter.start()
    return meter


def warm_up(models: Mapping[str, LoadedModel], pace: PaceTracker) -> None:
    """Compute a small tile with each model, so that no request pays for what only happens once.

    The second time tells how fast the model is here. Raises what the model raises.
    """
    for name, model in models.items():
        if not isinstance(model, NetworkModel):
            continue  # the diffusion upscaler's smallest image takes minutes on a CPU
        edge = WARM_EDGE if model.target.on_cpu else WARM_EDGE_GPU
        tile = np.zeros((edge, edge, 3), np.uint8)
        upscaler = model.upscaler()
        if model.device.cuda:
            # Graphs are captured, and networks compiled, for a shape that comes again and again.
            upscaler.runner.warm_up(Size(edge, edge))
        seconds = [upscaler.upscale(tile).cost.seconds for _ in range(2)]
        if seconds[1] > _TELLING_SECONDS:
            pace.learn(name, model.estimate(Size(edge, edge)).seconds, seconds[1])


def make_store(settings: Settings) -> Store:
    """Return where the operator keeps weights and lets them be had. Raises BadSetting."""
    sources = Sources.from_environment(settings.weights_sources, settings.weights_mirrors)
    return Store.from_environment(settings.cache_dir, settings.offline or None, sources)


def load_models(systems: Sequence[str], settings: Settings) -> dict[str, NetworkModel]:
    """Return the models of some systems by name, the default first.

    Raises Misconfigured where a name is unknown or weights cannot be had.
    """
    own = {
        name: spec
        for system in systems
        for name, spec in CATALOGUE.items()
        if spec.system == system
    }
    entries = resolve_entries(settings.models or (settings.model or next(iter(own)),))
    device, store = make_device(settings), make_store(settings)
    if settings.weights is not None and settings.weights.is_file():
        entries = [_replace_by_file(entries, own, settings.weights)]
    models = {}
    for name, file in entries:
        if file is not None:
            models[name] = NetworkModel(detect_network(file, name), device, store, file)
            continue
        try:
            spec = find_model(name, own)
        except BadOption as error:
            raise BadSetting(str(error), option="models") from error
        models[name] = NetworkModel(spec, device, store, settings.weights)
    _check_strength(models, settings.denoise_strength)
    return models


def _check_strength(models: Mapping[str, NetworkModel], strength: float | None) -> None:
    """Raise BadSetting where a model cannot have the strength that requests get by default."""
    for model in models.values():
        if strength is not None and "denoise_strength" in model.spec.options:
            try:
                model.upscaler(denoise_strength=strength)
            except BadOption as error:
                raise BadSetting(str(error), option="denoise_strength") from error


def _replace_by_file(
    entries: Sequence[ModelEntry], own: Mapping[str, NetworkSpec], file: Path
) -> ModelEntry:
    """Return the one entry that the setting `weights` replaces: the row itself where the file is
    the publisher's, else a model under the file's own name.
    """
    if len(entries) != 1 or entries[0].file is not None:
        raise BadSetting(
            f'weights "{file}": one file, but {len(entries)} models; '
            "name each file in `models`: {name: …, weights: …}",
            option="weights",
        )
    row = own.get(entries[0].name)
    if row is None or any(
        find_fault(file, kind) is None for weights in row.weights for kind in weights.variants
    ):
        return entries[0]
    return ModelEntry(make_name(file), file)


def load_faces(models: Mapping[str, LoadedModel], settings: Settings) -> "FaceEnhancer | None":
    """Return the face model that the operator names, on the models' device; none by default."""
    if settings.face_model is None:
        return None
    from superres.faces.enhancer import FaceEnhancer

    device = next(iter(models.values())).device.device
    store = make_store(settings)
    if settings.weights is not None and settings.weights.is_dir():
        store = replace(store, folders=(settings.weights, *store.folders))
    return FaceEnhancer.from_store(settings.face_model, device, store)
