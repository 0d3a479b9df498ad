import functools
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from superres.diffusion.files import (
    HALF,
    HUB_ID,
    NAME,
    PARTS,
    SETTINGS,
    SINGLE,
    Release,
    list_missing_files,
    read_weight_map,
)
from superres.diffusion.model import DiffusionModel
from superres.diffusion.spec import SPEC
from superres.errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from superres.inference.device import Device
from superres.model_spec import Weights
from superres.weights.store import Store
from tests.superres.diffusion.models import CPU, loaded, made, picture
from tests.superres.diffusion.tiny_diffusion import single_file
from tests.superres.weights.publisher import HASTE


def test_a_folder_that_lacks_files_is_refused_with_all_their_names(
    copied: Path, empty: Store
) -> None:
    lost = ["unet/config.json", "vae/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt"]
    for name in lost:
        (copied / name).unlink()
    with pytest.raises(WeightsMissing) as caught:
        loaded(copied, empty)
    for name in (*lost, str(copied), "https://huggingface.co/stabilityai/"):
        assert name in str(caught.value)
    assert "text_encoder" not in str(caught.value)


@pytest.mark.parametrize("explicit", [None, Path(HUB_ID)])
def test_an_empty_cache_offline_names_every_file_where_from_and_the_folder(
    empty: Store, explicit: Path | None
) -> None:
    with pytest.raises(WeightsMissing) as caught:
        loaded(explicit, empty)
    message = str(caught.value)
    assert message.startswith("offline: model_index.json, ")
    for name in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        assert name in message
    assert str(empty.cache() / NAME) in message and "https://huggingface.co/" in message


def test_half_precision_asks_for_the_half_files(empty: Store) -> None:
    with pytest.raises(WeightsMissing, match=r"unet/diffusion_pytorch_model\.fp16\.safetensors"):
        loaded(None, empty, precision="fp16")


def test_a_path_that_is_nothing_is_refused(empty: Store, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such folder or safetensors file"):
        loaded(tmp_path / "x4.ckpt", empty)


def test_the_files_are_found_in_the_operators_folders_and_in_the_cache(
    copied: Path, empty: Store, tmp_path: Path
) -> None:
    for store in (Store(tmp_path / "none", True, (tmp_path,)), Store(tmp_path, True)):
        assert made(loaded(None, store), picture(3, 3)).shape == (12, 12, 3)


def test_half_files_alone_serve_full_precision(copied: Path, empty: Store) -> None:
    for name, part in PARTS.items():
        if part.weights:
            full = copied / name / f"{part.weights}.safetensors"
            state = {key: value.half() for key, value in load_file(full).items()}
            save_file(state, full.with_suffix(".fp16.safetensors"), {"format": "pt"})
            full.unlink()
    model = loaded(copied, empty)
    assert model.parts.unet.dtype == model.parts.text_encoder.dtype == torch.float32
    assert made(model, picture(3, 3)).shape == (12, 12, 3)


def split(folder: Path) -> Path:
    """Cut the network's file in two with an index, as large ones are published; the index."""
    whole = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(whole)
    names = sorted(state)
    files = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    for file, keys in zip(files, halves, strict=True):
        save_file({key: state[key] for key in keys}, folder / file, {"format": "pt"})
    whole.unlink()
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(
        json.dumps(
            {
                "metadata": {"total_size": sum(v.nbytes for v in state.values())},
                "weight_map": {
                    key: file for file, keys in zip(files, halves, strict=True) for key in keys
                },
            }
        )
    )
    return index


def test_split_weights_are_read_by_their_index(
    copied: Path, empty: Store, model: DiffusionModel
) -> None:
    index = split(copied / "unet")
    assert len(set(read_weight_map(index).values())) == 2
    assert np.array_equal(made(loaded(copied, empty), picture(5, 5)), made(model, picture(5, 5)))


def test_a_missing_piece_of_split_weights_is_named(copied: Path) -> None:
    index = split(copied / "unet")
    lost = sorted(set(read_weight_map(index).values()))[1]
    (index.parent / lost).unlink()
    assert list_missing_files(copied) == [f"unet/{lost}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no JSON object"),
        ("{}", 'has no "weight_map"'),
        ('{"weight_map": {"a": "../../b.safetensors"}}', "expected a file beside it"),
        ('{"weight_map": {"a": 5}}', "expected a file beside it"),
    ],
)
def test_an_index_that_is_none_is_refused(copied: Path, content: str, expected: str) -> None:
    index = split(copied / "unet")
    index.write_text(content)
    with pytest.raises(WeightsCorrupt, match=expected):
        list_missing_files(copied)


def test_split_weights_shorter_than_their_index_promises_are_refused(
    copied: Path, empty: Store
) -> None:
    index = split(copied / "unet")
    content = json.loads(index.read_text())
    content["metadata"]["total_size"] = 10**9
    index.write_text(json.dumps(content))
    with pytest.raises(WeightsCorrupt, match="promises 1000000000 bytes"):
        loaded(copied, empty)


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("_class_name", "StableDiffusionPipeline", '_class_name "StableDiffusionPipeline"'),
        ("unet", ["diffusers", "UNet3DConditionModel"], 'unet "UNet3DConditionModel"'),
        ("scheduler", ["my_code", "Evil"], 'scheduler "Evil", expected DDIMScheduler'),
        ("vae", None, "vae None, expected .library, class."),
    ],
)
def test_an_index_of_another_pipeline_is_refused(
    copied: Path, empty: Store, name: str, entry: Any, expected: str
) -> None:
    index = copied / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), name: entry}))
    with pytest.raises(WeightsMismatch, match=expected):
        loaded(copied, empty)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_file_that_lacks_values_is_refused_rather_than_filled_at_random(
    copied: Path, empty: Store, part: str
) -> None:
    file = copied / part / f"{PARTS[part].weights}.safetensors"
    state = load_file(file)
    state.pop(sorted(state)[0])
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsMismatch, match="missing"):
        loaded(copied, empty)


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_the_text_encoder_is_read_under_the_names_of_either_transformers(
    copied: Path, empty: Store, model: DiffusionModel, prefix: str
) -> None:
    file = copied / "text_encoder" / "model.safetensors"
    state = {
        prefix + key.removeprefix("text_model."): value for key, value in load_file(file).items()
    }
    save_file(state, file, {"format": "pt"})
    assert np.array_equal(made(loaded(copied, empty), picture(5, 5)), made(model, picture(5, 5)))


def test_values_of_another_shape_are_refused(copied: Path, empty: Store) -> None:
    file = copied / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.weight"] = state["conv_in.weight"][:4].contiguous()
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsMismatch, match=str(copied)):
        loaded(copied, empty)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"version https://git-lfs", None])
def test_a_broken_weights_file_is_named(copied: Path, empty: Store, content: bytes | None) -> None:
    file = copied / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-7] if content is None else content)
    with pytest.raises(WeightsCorrupt, match=r"vae/diffusion_pytorch_model\.safetensors"):
        loaded(copied, empty)


def test_other_networks_of_the_family_are_refused(copied: Path, empty: Store) -> None:
    config = copied / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "latent_channels": 3}))
    with pytest.raises(WeightsMismatch):
        loaded(copied, empty)


@pytest.fixture
def single(copied: Path, model: DiffusionModel) -> Path:
    """The publisher's other layout: one file, beside the settings."""
    for name, part in PARTS.items():
        if part.weights:
            (copied / name / f"{part.weights}.safetensors").unlink()
    path = copied / SINGLE.file
    save_file(single_file(model.parts), path)
    return path


def test_the_single_file_makes_the_same_picture(
    single: Path, empty: Store, model: DiffusionModel
) -> None:
    assert np.array_equal(made(loaded(single, empty), picture(9, 9)), made(model, picture(9, 9)))


def test_the_single_file_under_its_publishers_name_must_have_the_published_hash(
    single: Path, empty: Store
) -> None:
    with pytest.raises(WeightsCorrupt, match="expected 3531269371 with sha256 35c01d61"):
        loaded(single.parent, empty)


@pytest.mark.parametrize("prefix", ["cond_stage_model.", "first_stage_model.", "model."])
def test_a_single_file_that_lacks_a_network_is_refused(
    single: Path, empty: Store, prefix: str
) -> None:
    state = {key: value for key, value in load_file(single).items() if not key.startswith(prefix)}
    other = single.with_name("other.safetensors")
    save_file(state, other)
    with pytest.raises((WeightsMismatch, WeightsCorrupt), match=r"does not fit|cannot be read"):
        loaded(other, empty)


def test_a_single_file_without_settings_names_them(
    single: Path, empty: Store, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "x4.safetensors"
    alone.parent.mkdir()
    single.rename(alone)
    with pytest.raises(WeightsMissing) as caught:
        loaded(alone, empty)
    assert "tokenizer/vocab.json" in str(caught.value)
    assert "diffusion_pytorch_model" not in str(caught.value)


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has the published files."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(QuietHandler, directory=str(published))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def offered(weights: tuple[Weights, ...], address: str) -> tuple[Weights, ...]:
    return tuple(
        replace(w, url=f"{address}/{w.file.removeprefix(f'{NAME}/')}", size=None) for w in weights
    )


def test_what_is_missing_is_downloaded_once_and_used_offline_later(
    hub: str, tmp_path: Path, model: DiffusionModel
) -> None:
    release = Release(offered(SETTINGS, hub), offered(Release().full, hub))
    spec = replace(SPEC, release=release)
    for offline in (False, True):
        store = Store(tmp_path, offline, (), patience=HASTE)
        got = DiffusionModel(spec, Device(CPU, memory=2**31), store)
    assert np.array_equal(made(got, picture(5, 5)), made(model, picture(5, 5)))


def test_a_publisher_that_lacks_a_file_is_told_of(hub: str, tmp_path: Path) -> None:
    release = Release(offered(SETTINGS, hub), half=offered(HALF, hub))
    store = Store(tmp_path, False, (), patience=HASTE)
    with pytest.raises(WeightsMissing, match=r"model\.fp16\.safetensors"):
        DiffusionModel(replace(SPEC, release=release), Device(CPU, "fp16"), store)


def test_the_release_names_the_publishers_files() -> None:
    names = [w.file.removeprefix(f"{NAME}/") for w in (*SETTINGS, *HALF)]
    assert names == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "low_res_scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "text_encoder/config.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert sum(w.size or 0 for w in HALF) == 1_738_374_222
    assert HALF[1].url == (
        "https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler/resolve/"
        "572c99286543a273bfd17fac263db5a77be12c4c/"
        "unet/diffusion_pytorch_model.fp16.safetensors"
    )
