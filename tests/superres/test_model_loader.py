"""Weights of other people's in registered architectures, and interpolated ones."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from superres.catalogue import CATALOGUE
from superres.errors import BadOption, WeightsMismatch, WeightsMissing
from superres.inference.device import Device
from superres.model_loader import NetworkModel
from superres.model_spec import NetworkSpec
from superres.networks import realesrgan
from superres.networks.torchvision_compat import repair_torchvision
from superres.weights.store import Store

CPU = Device(torch.device("cpu"))
ANIME = CATALOGUE["realesrgan.anime-x4"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", offline=True)


def picture() -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["params_ema", "bare", "safetensors", "numbered"])
def test_a_community_file_works_in_every_layout(tmp_path: Path, store: Store, layout: str) -> None:
    torch.manual_seed(0)
    network = realesrgan.build_rrdb(4, 6)
    state = network.state_dict()
    path = tmp_path / ("mine.safetensors" if layout == "safetensors" else "mine.pth")
    if layout == "safetensors":
        save_file(state, path)
    elif layout == "numbered":
        repair_torchvision()
        spandrel = pytest.importorskip("spandrel", reason="a development dependency")
        torch.save(spandrel.ModelLoader().load_from_state_dict(state).model.state_dict(), path)
    else:
        torch.save({"params_ema": state} if layout == "params_ema" else state, path)
    loaded = NetworkModel(ANIME, CPU, store, path).upscaler().network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_file_of_another_architecture_names_what_does_not_fit(
    tmp_path: Path, store: Store
) -> None:
    path = tmp_path / "other.safetensors"
    save_file(realesrgan.build_rrdb(4, 2).state_dict(), path)
    with pytest.raises(WeightsMismatch, match=r"other\.safetensors.*body\.2\."):
        NetworkModel(ANIME, CPU, store, path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(WeightsMissing, match="nowhere"):
        NetworkModel(ANIME, CPU, store, tmp_path / "nowhere.pth")


def test_denoise_strength_blends_the_two_published_files(tmp_path: Path, store: Store) -> None:
    spec = CATALOGUE["realesrgan.general-x4"]
    states = []
    for number, weights in enumerate(spec.weights):
        torch.manual_seed(number)
        states.append(spec.build().state_dict())
        torch.save({"params": states[-1]}, tmp_path / weights.file)
    unchecked = tuple(replace(w, sha256=None, size=None) for w in spec.weights)
    model = NetworkModel(replace(spec, weights=unchecked), CPU, store, tmp_path)
    for strength, name in ((1.0, 0), (0.0, 1)):
        made = model.upscaler(denoise_strength=strength).network.state_dict()
        assert all(torch.equal(made[key], value) for key, value in states[name].items())
    half = model.upscaler().network.state_dict()["body.0.weight"]
    mean = (states[0]["body.0.weight"] + states[1]["body.0.weight"]) / 2
    assert torch.allclose(half, mean)
    assert not np.array_equal(
        model.upscaler(denoise_strength=1.0).upscale(picture()).pixels,
        model.upscaler(denoise_strength=0.0).upscale(picture()).pixels,
    )


def put_half_copy(folder: Path, *, twin: bool) -> NetworkSpec:
    """A row of general-x4 whose fp16 copy lies in `folder`, the publisher's second file perhaps."""
    spec = CATALOGUE["realesrgan.general-x4"]
    first, second = spec.weights
    torch.manual_seed(0)
    state = spec.build().state_dict()
    content = save({name: value.half() for name, value in state.items()})
    assert first.half_copy is not None
    digest = hashlib.sha256(content).hexdigest()
    copy = replace(first.half_copy, size=len(content), sha256=digest)
    (folder / copy.file).write_bytes(content)
    if twin:
        torch.save({"params": state}, folder / second.file)
    second = replace(second, sha256=None, size=None)
    return replace(spec, weights=(replace(first, half_copy=copy), second))


def test_a_copy_without_its_twin_has_one_strength_and_says_so(tmp_path: Path, store: Store) -> None:
    model = NetworkModel(put_half_copy(tmp_path, twin=False), CPU, store, tmp_path)
    upscaler = model.upscaler()
    assert upscaler.report == {"precision": "fp16 weights", "denoise_strength": 1.0}
    assert model.upscaler(denoise_strength=1) is upscaler
    assert "denoise_strength" not in model.options and "face_enhance" in model.options
    with pytest.raises(BadOption, match=r"expected 1 or no value: .*without realesr-general-wdn"):
        model.upscaler(denoise_strength=0.5)


def test_a_copy_with_its_twin_has_every_strength(tmp_path: Path, store: Store) -> None:
    model = NetworkModel(put_half_copy(tmp_path, twin=True), CPU, store, tmp_path)
    assert model.upscaler().report == {"precision": "fp16 weights", "denoise_strength": 0.5}
    assert model.upscaler(denoise_strength=0.25).report["denoise_strength"] == 0.25
    assert "denoise_strength" in model.options


def test_the_publishers_files_are_needed_both(tmp_path: Path, store: Store) -> None:
    spec = CATALOGUE["realesrgan.general-x4"]
    torch.save({"params": spec.build().state_dict()}, tmp_path / spec.weights[0].file)
    unchecked = tuple(replace(w, sha256=None, size=None) for w in spec.weights)
    with pytest.raises(WeightsMissing, match=r"realesr-general-wdn-x4v3\.pth"):
        NetworkModel(replace(spec, weights=unchecked), CPU, store, tmp_path)


def test_one_file_of_the_operator_has_one_strength(tmp_path: Path, store: Store) -> None:
    spec = CATALOGUE["realesrgan.general-x4"]
    save_file(spec.build().state_dict(), tmp_path / "mine.safetensors")
    model = NetworkModel(spec, CPU, store, tmp_path / "mine.safetensors")
    assert model.upscaler().report == {"denoise_strength": 1.0}
    with pytest.raises(BadOption, match=r"mine\.safetensors is served alone"):
        model.upscaler(denoise_strength=0)


def test_a_strength_for_a_model_without_any_is_an_error(store: Store) -> None:
    model = NetworkModel(CATALOGUE["bicubic_pp.x2"], CPU, store)
    assert model.upscaler().report == {}
    with pytest.raises(BadOption, match=r"no value with model bicubic_pp\.x2"):
        model.upscaler(denoise_strength=1)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bicubic_pp.official-x3", "bicubic_pp_x3.safetensors"),
        ("dipnet.x4", "DIPNet.safetensors"),
        ("realesrgan.animevideo-x4", "realesr-animevideov3.from-ncnn-fp16.safetensors"),
        ("realesrgan.general-x4", "realesr-general-x4v3.from-ncnn-fp16.safetensors"),
        ("lapsrn.x4", "LapSRN_x4.safetensors"),
        ("lapsrn.ms-d5r2-x2", "MSLapSRN_D5R2.safetensors"),
    ],
)
@pytest.mark.parametrize("colour", [(220, 30, 30), (30, 220, 30), (30, 30, 220), (128, 128, 128)])
def test_official_weights_keep_the_hue_of_a_patch(
    shared_data: Path, store: Store, name: str, file: str, colour: tuple[int, int, int]
) -> None:
    model = NetworkModel(CATALOGUE[name], CPU, store, shared_data / "weights" / file)
    made = model.upscaler().upscale(np.full((32, 32, 3), colour, np.uint8)).pixels.astype(int)
    middle = made[made.shape[0] // 2, made.shape[1] // 2]
    assert abs(middle - colour).max() <= 8, middle
