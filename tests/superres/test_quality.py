"""Official and embedded weights reach the PSNR that was measured for them (Set5, luma)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evaluation.protocol import bicubic, crop_to_multiple, list_images, psnr, read_rgb
from superres.catalogue import CATALOGUE
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.weights.store import ASSETS, load_state_dict

pytestmark = pytest.mark.weights


def set5(name: str, weights: Path, folder: Path) -> tuple[float, float]:
    """Mean PSNR of a model and of bicubic interpolation over Set5."""
    spec = CATALOGUE[name]
    network = spec.build()
    load_state_dict(network, load_file(weights), weights)
    subject = NetworkUpscaler(spec, network, Device(torch.device("cpu")))
    values = []
    for path in list_images(folder):
        hr = crop_to_multiple(read_rgb(path), spec.scale)
        height, width = hr.shape[0] // spec.scale, hr.shape[1] // spec.scale
        lr = bicubic(hr, width, height)
        plain = bicubic(lr, hr.shape[1], hr.shape[0])
        made = subject.upscale(lr).pixels
        values.append([psnr(made, hr, spec.scale), psnr(plain, hr, spec.scale)])  # type: ignore[arg-type]
    result, baseline = np.mean(values, axis=0)
    return float(result), float(baseline)


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("bicubic_pp.official-x3", "bicubic_pp_x3.safetensors", 31.77),
        ("dipnet.x4", "DIPNet.safetensors", 31.81),
        ("realesrgan.animevideo-x4", "realesr-animevideov3.from-ncnn-fp16.safetensors", 28.25),
        ("realesrgan.general-x4", "realesr-general-x4v3.from-ncnn-fp16.safetensors", 26.64),
        ("realesrgan.general-x4", "realesr-general-wdn-x4v3.from-ncnn-fp16.safetensors", 26.70),
    ],
)
def test_official_weights_reach_their_psnr(
    shared_data: Path, name: str, file: str, expected: float
) -> None:
    result, _ = set5(name, shared_data / "weights" / file, shared_data / "eval" / "Set5")
    assert result == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("name", "gain"), [("bicubic_pp.x2", 0.8), ("bicubic_pp.x3", 1.0), ("bicubic_pp.x4", 0.8)]
)
def test_embedded_weights_beat_bicubic(shared_data: Path, name: str, gain: float) -> None:
    weights = ASSETS / CATALOGUE[name].weights[0].file
    result, baseline = set5(name, weights, shared_data / "eval" / "Set5")
    assert result >= baseline + gain
