"""The files of a Stable Diffusion upscaler: which there are, where they lie, which are missing.

A folder in diffusers' layout has `model_index.json` and one folder per part. Weights lie in one
safetensors file per network, or in several that a `*.safetensors.index.json` names.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from contract.problem import quote
from superres.errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from superres.model_spec import Weights
from superres.weights.download import find_fault, find_format_fault
from superres.weights.sources import fetch
from superres.weights.store import Store

logger = logging.getLogger(__name__)

NAME = "stable-diffusion-x4-upscaler"
HUB_ID = f"stabilityai/{NAME}"
_ORIGIN = f"https://huggingface.co/{HUB_ID}"
# A branch may move; this commit is the one whose files have the sizes below.
_COMMIT = "572c99286543a273bfd17fac263db5a77be12c4c"
FILES = f"{_ORIGIN}/resolve/{_COMMIT}"
_LICENCE = "CreativeML Open RAIL++-M"
_INDEX = "model_index.json"
_PIPELINE = "StableDiffusionUpscalePipeline"
_TIMEOUT_SECONDS = 3600.0  # seconds: 1.7 GB in ten minutes would need 23 Mbit/s


class ModelPart(NamedTuple):
    """One folder: the classes that may stand in model_index.json, its settings, its weights."""

    kinds: tuple[str, ...]
    files: tuple[str, ...]
    weights: str | None = None  # the stem of its weights files


PARTS: Mapping[str, ModelPart] = MappingProxyType(
    {
        "scheduler": ModelPart(("DDIMScheduler",), ("scheduler_config.json",)),
        "low_res_scheduler": ModelPart(("DDPMScheduler",), ("scheduler_config.json",)),
        "tokenizer": ModelPart(
            ("CLIPTokenizer", "CLIPTokenizerFast"),
            ("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"),
        ),
        "text_encoder": ModelPart(("CLIPTextModel",), ("config.json",), "model"),
        "unet": ModelPart(("UNet2DConditionModel",), ("config.json",), "diffusion_pytorch_model"),
        "vae": ModelPart(("AutoencoderKL",), ("config.json",), "diffusion_pytorch_model"),
    }
)
NETWORKS = tuple(name for name, part in PARTS.items() if part.weights)
SIZES: Mapping[str, int] = MappingProxyType(
    {
        _INDEX: 485,
        "scheduler/scheduler_config.json": 348,
        "low_res_scheduler/scheduler_config.json": 300,
        "tokenizer/tokenizer_config.json": 825,
        "tokenizer/special_tokens_map.json": 460,
        "tokenizer/vocab.json": 1_059_962,
        "tokenizer/merges.txt": 524_619,
        "text_encoder/config.json": 634,
        "text_encoder/model.fp16.safetensors": 680_821_096,
        "unet/config.json": 982,
        "unet/diffusion_pytorch_model.fp16.safetensors": 946_878_752,
        "vae/config.json": 587,
        "vae/diffusion_pytorch_model.fp16.safetensors": 110_674_374,
    }
)
"""Bytes of the publisher's files, where they are known; their hashes are published nowhere."""


def describe_file(file: str) -> Weights:
    """Return a file of the publisher's folder, pinned to a commit."""
    return Weights(f"{NAME}/{file}", _LICENCE, _ORIGIN, f"{FILES}/{file}", None, SIZES.get(file))


SETTINGS = (
    describe_file(_INDEX),
    *(describe_file(f"{name}/{file}") for name, part in PARTS.items() for file in part.files),
)
FULL = tuple(describe_file(f"{name}/{PARTS[name].weights}.safetensors") for name in NETWORKS)
HALF = tuple(describe_file(f"{name}/{PARTS[name].weights}.fp16.safetensors") for name in NETWORKS)
SINGLE = Weights(
    "x4-upscaler-ema.safetensors",
    _LICENCE,
    _ORIGIN,
    f"{FILES}/x4-upscaler-ema.safetensors",
    "35c01d6160bdfe6644b0aee52ac2667da2f40a33a5d1ef12bbd011d059057bc6",
    3_531_269_371,
)


@dataclass(frozen=True)
class Release:
    """What the publisher offers: settings with full or half weights, or one file with settings."""

    settings: tuple[Weights, ...] = SETTINGS
    full: tuple[Weights, ...] = FULL
    half: tuple[Weights, ...] = HALF
    single: Weights = SINGLE


class ModelFiles(NamedTuple):
    """Files that are complete: a folder, and the single file where that holds the weights.

    `variants` says for each network whether its "fp16" file is the one to read.
    """

    folder: Path
    variants: Mapping[str, str | None]
    single: Path | None = None


def locate_model(release: Release, store: Store, explicit: Path | None, half: bool) -> ModelFiles:
    """Return where the model lies: at `explicit`, in the operator's folders, or downloaded to the
    cache.

    `explicit` is a folder in diffusers' layout, a folder with the single file, that file itself,
    or the name on the hub. `half` prefers the fp16 files. Raises WeightsMissing that names every
    missing file, WeightsCorrupt or WeightsMismatch.
    """
    own = None if explicit is None or explicit.as_posix() == HUB_ID else explicit
    if own is not None and not own.is_dir():
        return _use_single_file(release, store, own)
    for place in [own] if own else [*(f / NAME for f in store.folders), *store.folders]:
        if not list_missing_files(place):
            return _check_folder(place, half)
        if (place / release.single.file).is_file():
            return _verify_single_file(release, store, place / release.single.file)
    if own:
        raise make_missing_error(own, list_missing_files(own, half=half), f'weights "{own}"')
    if store.offline and (store.cache() / release.single.file).is_file():
        return _verify_single_file(release, store, store.cache() / release.single.file)
    return _download_model(release, store, half, NETWORKS)


def _use_single_file(release: Release, store: Store, path: Path) -> ModelFiles:
    """Return the operator's own single file, whose content only the networks can judge."""
    if not path.is_file() or path.suffix != ".safetensors":
        raise WeightsMissing(
            f'weights "{path}": no such folder or safetensors file; expected a folder with '
            f'{_INDEX} as diffusers writes it, "{release.single.file}", or {HUB_ID}',
            option="weights",
        )
    _check_safetensors(path)
    logger.warning('weights "%s" in place of %s: size and hash not checked', path, HUB_ID)
    return ModelFiles(_find_settings(release, store, path), {}, path)


def _verify_single_file(release: Release, store: Store, path: Path) -> ModelFiles:
    """Return the publisher's single file, with the publisher's hash."""
    wrong = find_fault(path, release.single)
    if wrong is not None:
        raise WeightsCorrupt(f'weights file "{path}" {wrong}; replace it by {release.single.url}')
    return ModelFiles(_find_settings(release, store, path), {}, path)


def _find_settings(release: Release, store: Store, path: Path) -> Path:
    """Return the folder with the settings that a single file lacks: its own, the operator's, the
    cache.
    """
    for place in (path.parent, path.parent / NAME, *(folder / NAME for folder in store.folders)):
        if not list_missing_files(place, weights=False):
            return _check_folder(place, False, ()).folder
    return _download_model(release, store, False, ()).folder


def _download_model(
    release: Release, store: Store, half: bool, networks: tuple[str, ...]
) -> ModelFiles:
    """Return the folder in the cache, complete: what is missing or broken is downloaded."""
    folder = store.cache() / NAME
    wanted = (*release.settings, *((release.half if half else release.full) if networks else ()))
    if store.offline:
        names = list_missing_files(folder, half=half, weights=bool(networks))
        if names:
            looked = " or ".join(f'"{place / NAME}"' for place in store.folders)
            reason = f"offline, and not in {looked}" if looked else "offline"
            raise make_missing_error(folder, names, reason)
        return _check_folder(folder, half, networks)
    patience = replace(store.patience, total=max(store.patience.total, _TIMEOUT_SECONDS))
    for weights in wanted:
        target = store.cache() / weights.file
        if not target.is_file() or find_fault(target, weights):
            fetch(weights, store.cache(), store.sources, store.archives, patience)
    return _check_folder(folder, half, networks)


def make_missing_error(folder: Path, names: list[str], reason: str) -> WeightsMissing:
    """Return the error that names every missing file, where it comes from and where it belongs."""
    return WeightsMissing(
        f"{reason}: {', '.join(names)} missing; put them into {folder} from {_ORIGIN}, keeping the "
        f"folders, or set SUPERRES_WEIGHTS_DIR to a folder that holds {NAME}/ or {SINGLE.file}"
    )


def list_missing_files(folder: Path, *, half: bool = False, weights: bool = True) -> list[str]:
    """Return the files that `folder` lacks, relative to it. Raises WeightsCorrupt for a broken
    index.
    """
    names = [_INDEX] if not (folder / _INDEX).is_file() else []
    for name, part in PARTS.items():
        names += [f"{name}/{file}" for file in _list_missing_settings(folder / name, part)]
        if weights and part.weights:
            names += [
                f"{name}/{file}"
                for file in _list_missing_weights(folder / name, part.weights, half)
            ]
    return names


def _list_missing_settings(folder: Path, part: ModelPart) -> Iterator[str]:
    """Yield the settings that are not in `folder`."""
    # transformers 5 writes the last three of the publisher's four files as one.
    one_for_all = (folder / "tokenizer.json").is_file()
    for file in part.files[:1] if one_for_all else part.files:
        if not (folder / file).is_file():
            yield file


def _list_missing_weights(folder: Path, stem: str, half: bool) -> list[str]:
    """Return the weights files that are not in `folder`; the preferred one where there is none at
    all.
    """
    found = [
        files for variant in _order_variants(half) if (files := _list_shards(folder, stem, variant))
    ]
    if any(_are_complete(files) for files in found):
        return []
    if found:
        return [file.name for file in found[0] if not file.is_file()]
    return [_name_weights_file(stem, _order_variants(half)[0])]


def _order_variants(half: bool) -> tuple[str | None, str | None]:
    """Return the variants in the order in which they are looked for."""
    return ("fp16", None) if half else (None, "fp16")


def _name_weights_file(stem: str, variant: str | None) -> str:
    """Return the name of a weights file that is not split."""
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"


def _list_shards(folder: Path, stem: str, variant: str | None) -> list[Path]:
    """Return the files that hold a network, whether there or not; none where nothing tells
    of them.
    """
    whole = folder / _name_weights_file(stem, variant)
    if whole.is_file():
        return [whole]
    index = folder / f"{stem}.safetensors.index{f'.{variant}' if variant else ''}.json"
    if not index.is_file():
        return []
    return [folder / name for name in sorted(set(read_weight_map(index).values()))]


def read_weight_map(index: Path) -> dict[str, str]:
    """Return the file of every tensor, as a `*.safetensors.index.json` has it. Raises
    WeightsCorrupt.
    """
    names = _read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise WeightsCorrupt(f'"{index}" has no "weight_map" of tensors to files')
    for name in names.values():
        if not isinstance(name, str) or PurePath(name).name != name or "\\" in name:
            raise WeightsCorrupt(f'"{index}" names {quote(name)}: expected a file beside it')
    return names


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises WeightsCorrupt."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsCorrupt(f'"{path}" cannot be read as JSON') from error
    if not isinstance(content, dict):
        raise WeightsCorrupt(f'"{path}" holds no JSON object')
    return content


def _check_folder(folder: Path, half: bool, networks: tuple[str, ...] = NETWORKS) -> ModelFiles:
    """Return `folder` once its index names the classes we build and its weights files are whole."""
    _check_index(folder / _INDEX)
    variants: dict[str, str | None] = {}
    for name in networks:
        stem = PARTS[name].weights or ""
        variants[name] = next(
            v for v in _order_variants(half) if _are_complete(_list_shards(folder / name, stem, v))
        )
        files = _list_shards(folder / name, stem, variants[name])
        for file in files:
            _check_safetensors(file)
        _check_total(folder / name, stem, variants[name], files)
    return ModelFiles(folder, variants)


def _are_complete(files: list[Path]) -> bool:
    """Return whether there are files, and every one of them is there."""
    return bool(files) and all(file.is_file() for file in files)


def _check_index(path: Path) -> None:
    """Raise WeightsMismatch unless model_index.json is that of an upscaler of this kind."""
    content = _read_json(path)
    if content.get("_class_name") != _PIPELINE:
        found = quote(content.get("_class_name"))
        raise WeightsMismatch(f'"{path}": _class_name {found}, expected "{_PIPELINE}"')
    for name, part in PARTS.items():
        entry = content.get(name)
        if not isinstance(entry, list) or len(entry) != 2:
            raise WeightsMismatch(f'"{path}": {name} {quote(entry)}, expected [library, class]')
        if entry[1] not in part.kinds:
            raise WeightsMismatch(f'"{path}": {name} {quote(entry[1])}, expected {part.kinds[0]}')


def _check_total(folder: Path, stem: str, variant: str | None, files: list[Path]) -> None:
    """Raise WeightsCorrupt where split weights have fewer bytes than their index promises."""
    index = folder / f"{stem}.safetensors.index{f'.{variant}' if variant else ''}.json"
    if (folder / _name_weights_file(stem, variant)).is_file():
        return
    metadata = _read_json(index).get("metadata")
    promised = metadata.get("total_size") if isinstance(metadata, dict) else None
    held = sum(file.stat().st_size for file in files)
    if isinstance(promised, int | float) and held < promised:
        raise WeightsCorrupt(f'"{index}" promises {promised} bytes, its files have {held}')


def _check_safetensors(path: Path) -> None:
    """Raise WeightsCorrupt where a safetensors file is not what its own header promises."""
    try:
        wrong = find_format_fault(path)
        if wrong is None:
            with safe_open(path, "pt"):
                return
    except (SafetensorError, OSError) as error:
        wrong = f"cannot be read: {next(iter(str(error).splitlines()), '')[:200]}"
    raise WeightsCorrupt(f'weights file "{path}" {wrong}')
