"""Who takes part in a comparison, and where: models, bicubic interpolation, devices, precisions."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from superres.catalogue import CATALOGUE, find_model
from superres.custom.detect import WEIGHTS_SUFFIXES, detect_network, make_name
from superres.diffusion.spec import SPEC
from superres.errors import WeightsMissing
from superres.model_spec import ModelSpec, NetworkSpec
from superres.weights.download import find_fault
from superres.weights.store import Store, obtain

__all__ = ["BICUBIC", "Contender", "Place", "list_contenders", "list_places", "order_scales"]

BICUBIC = "bicubic"
"""The system that is no model: every other one must look better than it."""

_BASELINES = (BICUBIC, "lanczos")


class Place(NamedTuple):
    """A device and a number format, e.g. cpu and fp32."""

    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.device.replace(':', '')}-{self.precision}"


class Contender(NamedTuple):
    """A model, or bicubic interpolation, that is compared with the others."""

    name: str
    system: str
    scale: int
    seconds_per_megapixel: float  # of input, expected on a CPU
    file: Path | None = None  # instead of the publisher's, or of a model of one's own
    has_weights: bool = True  # else its cost alone is measured, with random weights
    fingerprint: str = ""  # of its weights

    @property
    def is_baseline(self) -> bool:
        """Whether nothing was learned."""
        return self.system in _BASELINES

    @property
    def is_custom(self) -> bool:
        """Whether it is a model of one's own, not of the catalogue."""
        return self.file is not None and self.name not in (*CATALOGUE, SPEC.name)

    @property
    def is_servable(self) -> bool:
        """Whether an Executor serves it under its name: not with a file that is another's."""
        if self.file is None or self.is_custom or self.system == SPEC.system:
            return True
        file = self.file
        kinds = [kind for weights in self.spec.weights for kind in weights.variants]
        return any(find_fault(file, kind) is None for kind in kinds)

    @property
    def spec(self) -> ModelSpec:
        """The row, of a model. Raises KeyError for bicubic interpolation."""
        if self.system == SPEC.system:
            return SPEC
        if self.file is not None and self.is_custom:
            return detect_network(self.file, self.name)
        return CATALOGUE[self.name]


def order_scales(contenders: Sequence[Contender]) -> list[int]:
    """Return the scales of the contenders with weights: that of most first, then the larger."""
    scales = [contender.scale for contender in contenders if contender.has_weights]
    most = max(scales, key=lambda scale: (scales.count(scale), scale), default=None)
    others = sorted({*scales} - {most}, reverse=True)
    return others if most is None else [most, *others]


def list_places(device: str, precisions: Sequence[str]) -> list[Place]:
    """List where models are compared.

    Args:
        device: cpu, cuda, cuda:N, mps, or auto: CUDA beside the CPU where there is one.
        precisions: fp32, fp16 and bf16; none to choose: fp32, and fp16 too on CUDA.

    Returns:
        The places, the CPU's first.
    """
    if device == "auto":
        devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    else:
        devices = [device]
    return [
        Place(name, precision)
        for name in devices
        for precision in precisions or (("fp32", "fp16") if name.startswith("cuda") else ("fp32",))
    ]


def list_contenders(
    names: Sequence[str],
    scales: Sequence[int],
    store: Store,
    files: Mapping[str, Path] = MappingProxyType({}),
    *,
    use_random_weights: bool = False,
) -> list[Contender]:
    """List who takes part: bicubic interpolation of every scale first, then the models.

    Args:
        names: Models of the catalogue, or weights files of one's own; none for every model whose
            weights are at hand.
        scales: Of the models that are taken where no names are given.
        store: Where weights are looked for; nothing is downloaded where it is offline.
        files: Weights files, or folders, used instead of the publishers', by name of the model.
        use_random_weights: Take models without weights too, for their cost.

    Returns:
        The contenders in the order of the catalogue.

    Raises:
        BadOption: There is no such model.
        Misconfigured: Weights of a model that was named cannot be had.
    """
    if names:
        models = [_make_contender(name, store, files, use_random_weights) for name in names]
    else:
        wanted = [spec.name for spec in (*CATALOGUE.values(), SPEC) if spec.scale in scales]
        found = (_find_contender(name, store, files, use_random_weights) for name in wanted)
        models = [contender for contender in found if contender is not None]
    every = dict.fromkeys(model.scale for model in models)
    return [*(Contender(f"{BICUBIC}.x{scale}", BICUBIC, scale, 0.1) for scale in every), *models]


def _find_contender(
    name: str, store: Store, files: Mapping[str, Path], use_random_weights: bool
) -> Contender | None:
    try:
        return _make_contender(name, store, files, use_random_weights)
    except WeightsMissing:
        return None


def _make_contender(
    name: str, store: Store, files: Mapping[str, Path], use_random_weights: bool
) -> Contender:
    if name == SPEC.name:
        return _find_diffusion(store, files.get(name))
    if name.lower().endswith(WEIGHTS_SUFFIXES):
        path = Path(name)
        spec: NetworkSpec = detect_network(path, make_name(path))
    else:
        spec = find_model(name)
        if not spec.weights:
            return _describe(spec, None, None)
        path = files.get(name) or Path()
    if path.name:
        return _describe(spec, path.absolute(), path)
    try:
        return _describe(spec, None, obtain(spec.weights[0], store).path)
    except WeightsMissing:
        if not use_random_weights:
            raise
        return _describe(spec, None, None)._replace(has_weights=False)


def _find_diffusion(store: Store, path: Path | None) -> Contender:
    """Return the Stable Diffusion upscaler. Raises Misconfigured where its files are not here."""
    from superres.diffusion.files import locate_model

    found = locate_model(SPEC.release, replace(store, offline=True), path, half=False)
    files = [found.single] if found.single else sorted(found.folder.rglob("*.safetensors"))
    sizes = ",".join(f"{file.name}:{file.stat().st_size}" for file in files)
    fingerprint = hashlib.sha256(sizes.encode()).hexdigest()[:16]
    return _describe(SPEC, path and path.absolute(), None)._replace(fingerprint=fingerprint)


def _describe(spec: ModelSpec, file: Path | None, weights: Path | None) -> Contender:
    return Contender(
        spec.name,
        spec.system,
        spec.scale,
        spec.seconds_per_megapixel,
        file,
        fingerprint=_hash_file(weights) if weights else "",
    )


@cache
def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
