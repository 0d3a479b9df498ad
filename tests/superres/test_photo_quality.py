"""The embedded models on clean and damaged photos, beside Lanczos and the network they learned."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import astronaut, chelsea, coffee

from benchmarks.photos import DAMAGES, compute_niqe, measure_colours
from evaluation.protocol import Pixels, bicubic, crop_to_multiple, list_images, psnr, read_rgb, ssim
from superres.catalogue import CATALOGUE
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel
from superres.weights.store import Store, load_state_dict, read_state_dict

CPU = Device(torch.device("cpu"))
Upscale = Callable[[Pixels], Pixels]


def embedded(name: str) -> NetworkModel:
    return NetworkModel(CATALOGUE[name], CPU, Store(Path("/nowhere"), offline=True))


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.uint8]]:
    """Parts of scikit-image's photos, which no network here was trained on."""
    return [photo[:240, 100:340] for photo in (astronaut(), chelsea(), coffee())]


def mean_scores(
    upscale: Upscale, photos: list[Pixels], scale: int, damage: str
) -> tuple[float, float, float]:
    """PSNR, SSIM and NIQE of photos reduced, damaged and enlarged again."""
    scores = []
    for index, photo in enumerate(photos):
        hr = crop_to_multiple(photo, scale)
        lr = DAMAGES[damage](bicubic(hr, hr.shape[1] // scale, hr.shape[0] // scale), index)
        made = upscale(lr)
        scores.append((psnr(made, hr, scale), ssim(made, hr, scale), compute_niqe(made)))
    first, second, third = np.mean(scores, axis=0)
    return float(first), float(second), float(third)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_default_removes_noise(photos: list[Pixels], scale: int) -> None:
    model = embedded(f"compact.photo-x{scale}").upscaler()
    lanczos = embedded(f"lanczos.x{scale}").upscaler()
    made = mean_scores(lambda lr: model.upscale(lr).pixels, photos, scale, "noise 10")
    plain = mean_scores(lambda lr: lanczos.upscale(lr).pixels, photos, scale, "noise 10")
    assert made[0] > plain[0] - 0.3  # sharper is never nearer to the original by this measure
    assert made[1] > plain[1] + 0.02


@pytest.mark.weights
def test_the_default_repairs_jpeg(shared_data: Path) -> None:
    photos = [read_rgb(path) for path in list_images(shared_data / "eval/BSD100")[:6]]
    model = embedded("compact.photo-x4").upscaler()
    lanczos = embedded("lanczos.x4").upscaler()
    made = mean_scores(lambda lr: model.upscale(lr).pixels, photos, 4, "JPEG 40")
    plain = mean_scores(lambda lr: lanczos.upscale(lr).pixels, photos, 4, "JPEG 40")
    assert made[1] > plain[1] + 0.005
    assert made[2] < plain[2] - 1


@pytest.mark.parametrize("name", ["compact.photo-x4", "compact.photo-x2"])
def test_the_default_keeps_colours_and_greys(name: str) -> None:
    found = measure_colours(embedded(name))
    assert found["shift"] <= 0.5
    assert found["tint"] <= 0.5


@pytest.mark.weights
def test_the_default_is_near_its_teacher_and_twice_as_small(shared_data: Path) -> None:
    student = embedded("compact.photo-x4").upscaler()
    row = CATALOGUE["realesrgan.general-x4"]
    network = row.build()
    path = shared_data / "weights/realesr-general-x4v3.from-ncnn-fp16.safetensors"
    load_state_dict(network, read_state_dict(path), path)
    teacher = NetworkUpscaler(row, network, CPU)
    lanczos = embedded("lanczos.x4").upscaler()
    distances = []
    for index, path in enumerate(list_images(shared_data / "eval/BSD100")[:6]):
        hr = crop_to_multiple(read_rgb(path), 4)
        lr = DAMAGES["noise 10"](bicubic(hr, hr.shape[1] // 4, hr.shape[0] // 4), index)
        wanted = teacher.upscale(lr).pixels.astype(int)
        made = [abs(model.upscale(lr).pixels - wanted).mean() for model in (student, lanczos)]
        distances.append(made)
    ours, plain = np.mean(distances, axis=0)
    assert ours <= 0.62 * plain
    sizes = [sum(p.numel() for p in model.network.parameters()) for model in (student, teacher)]
    assert sizes[0] <= sizes[1] / 2
