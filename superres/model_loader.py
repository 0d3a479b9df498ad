"""A model made ready: its weights found, checked and put into networks on a device."""

import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from superres.custom.detect import describe_file, find_fitting_rows
from superres.errors import BadOption, WeightsMismatch, WeightsMissing
from superres.estimation.cost import ExecutionTarget, NetworkCost, estimate_network
from superres.geometry import Size
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler, Upscaler
from superres.model_spec import ModelSpec, NetworkSpec, StateDict, Weights
from superres.weights.store import Store, interpolate, load_state_dict, locate, read_state_dict

logger = logging.getLogger(__name__)

_DENOISE_OPTION = "denoise_strength"
_DENOISE_STRENGTH = 0.5  # Real-ESRGAN's default


class LoadedModel(ABC):
    """A model ready to serve: its row, its device, and an Upscaler for a request's options."""

    spec: ModelSpec
    device: Device

    @property
    def options(self) -> tuple[str, ...]:
        """Model-specific options that have an effect here."""
        return self.spec.options

    @property
    @abstractmethod
    def target(self) -> ExecutionTarget:
        """Where the model runs, for estimates."""

    @abstractmethod
    def upscaler(self, **options: Any) -> Upscaler:
        """Return the Upscaler for model-specific options. Raises BadOption."""

    @abstractmethod
    def estimate(self, size: Size, tile: int = 0, overlap: int | None = None) -> NetworkCost:
        """Estimate what the model's part of one frame takes.

        Args:
            size: Of the frame, in pixels.
            tile: Edge of the tiles in input pixels that a request asks for, 0 to choose.
            overlap: Overlap in input pixels that a request asks for, None for the model's own.

        Returns:
            Bytes on the host and on the device, and seconds.
        """


class NetworkModel(LoadedModel):
    """A catalogue row with its weights in memory, and the Upscaler for given options."""

    def __init__(
        self, spec: NetworkSpec, device: Device, store: Store, weights: Path | None = None
    ) -> None:
        """Find, check and load the weights; `weights` replaces the publisher's file.

        Raises WeightsMissing, WeightsCorrupt or WeightsMismatch.
        """
        self.spec: NetworkSpec = spec
        self.device = device
        self.states, self.path = read_state_dicts(spec, store, weights)
        self.has_half_weights = bool(spec.weights) and spec.weights[0].is_half_copy(self.path)
        self.upscalers: dict[float, NetworkUpscaler] = {}
        self.upscaler()

    @property
    def target(self) -> ExecutionTarget:
        """Where the network runs, for estimates."""
        is_half = self.device.dtype(self.spec) != torch.float32
        free = self.device.free(self.spec.cpu_bytes)
        return ExecutionTarget(free, self.device.device.type == "cpu", is_half)

    def estimate(self, size: Size, tile: int = 0, overlap: int | None = None) -> NetworkCost:
        """Estimate what the network's part of one frame takes."""
        return estimate_network(size, self.spec, self.target, tile, overlap)

    def upscaler(  # type: ignore[override] # each model names its own options
        self, *, denoise_strength: float | None = None
    ) -> NetworkUpscaler:
        """Return the Upscaler at `denoise_strength`, 0 (keeps noise) to 1, to two decimals.

        Only models with two interpolated weights files tell strengths apart. Raises BadOption for a
        strength that has no effect.
        """
        strength = self._choose_strength(denoise_strength)
        if strength not in self.upscalers:
            self.upscalers = {
                **dict(list(self.upscalers.items())[-3:]),
                strength: self.make(strength),
            }
        return self.upscalers[strength]

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the row that have an effect with the weights that are here."""
        idle = {_DENOISE_OPTION} if len(self.states) < 2 else set()
        return tuple(option for option in self.spec.options if option not in idle)

    def _choose_strength(self, wanted: float | None) -> float:
        """Return the strength that the weights have. Raises BadOption."""
        if len(self.states) > 1:
            return _DENOISE_STRENGTH if wanted is None else round(wanted, 2)
        if wanted is None or (round(wanted, 2) == 1 and _DENOISE_OPTION in self.spec.options):
            return 1.0  # that of the first file alone
        if _DENOISE_OPTION not in self.spec.options:
            raise BadOption(_DENOISE_OPTION, wanted, f"no value with model {self.spec.name}")
        others = " or ".join(weights.file for weights in self.spec.weights[1:])
        raise BadOption(
            _DENOISE_OPTION,
            wanted,
            f"1 or no value: {self.path.name} is served alone, without {others} to blend it with",
        )

    def make(self, strength: float) -> NetworkUpscaler:
        """Return a new Upscaler with the weights for `strength`."""
        network = self.spec.build()
        if self.states:
            state = self.states[0]
            if len(self.states) > 1:
                state = interpolate(state, self.states[1], strength)
            self._load(network, state)
        return NetworkUpscaler(self.spec, network, self.device, self.describe(strength))

    def describe(self, strength: float) -> dict[str, Any]:
        """Return what an answer tells of the weights."""
        report: dict[str, Any] = {"precision": "fp16 weights"} if self.has_half_weights else {}
        if _DENOISE_OPTION in self.spec.options:
            report[_DENOISE_OPTION] = strength
        return report

    def _load(self, network: nn.Module, state: StateDict) -> None:
        """Load weights; where they do not fit, the error says what the file is."""
        try:
            load_state_dict(network, state, self.path)
        except WeightsMismatch as error:
            summary = describe_file(state)
            if summary is None:
                raise
            rows = find_fitting_rows(state)
            fitting = f"that is the network of {', '.join(rows)}; or " if rows else ""
            raise WeightsMismatch(
                f'weights file "{self.path}" is {summary}, not {self.spec.name}: {fitting}serve it '
                f"under a name of its own, as an entry {{name: …, weights: …}} of models ({error})"
            ) from error


def read_state_dicts(
    spec: NetworkSpec, store: Store, weights: Path | None
) -> tuple[list[StateDict], Path]:
    """Return the state dicts of `spec` in the network's own keys, and where the first one came
    from.
    """
    files = spec.weights[:1] if weights and weights.is_file() else spec.weights
    paths = _locate_files(files, store, weights)
    keys = spec.weights[0].keys if spec.weights else ()
    states = [read_state_dict(path, keys) for path in paths]
    convert = spec.convert
    return [convert(state) if convert else state for state in states], (paths or [Path()])[0]


def _locate_files(files: tuple[Weights, ...], store: Store, weights: Path | None) -> list[Path]:
    """Return where the files of a model lie.

    Packages lack the files that their model is blended with: a model from there does without those
    that are not here.
    """
    paths: list[Path] = []
    for file in files:
        is_copy = bool(paths) and files[0].is_half_copy(paths[0])
        try:
            paths.append(locate(file, replace(store, offline=True) if is_copy else store, weights))
        except WeightsMissing:
            if not is_copy:
                raise
            logger.warning("%s is served without %s", paths[0].name, file.file)
    return paths
