"""The shipped networks remove what they are for, and leave clean images nearly alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut, coffee

from benchmarks.restoration import compute_psnr
from evaluation.damages import add_noise, compress
from superres.catalogue.restorers import RESTORERS
from superres.image.imresize import imresize
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel
from superres.weights.store import Store

CPU = Device(torch.device("cpu"))
# Reduced, since the originals have traces of their own.
PHOTOS = [
    np.rint(imresize(photo, 200, 160).clip(0, 255)).astype(np.uint8)
    for photo in (astronaut(), coffee())
]


@pytest.fixture(scope="module")
def networks() -> dict[str, NetworkUpscaler]:
    store = Store(Path("/nowhere"), offline=True)
    return {name: NetworkModel(spec, CPU, store).upscaler() for name, spec in RESTORERS.items()}


@pytest.mark.parametrize(("quality", "gain"), [(10, 0.4), (20, 0.5), (40, 0.4)])
def test_traces_of_jpeg_go(networks: dict[str, NetworkUpscaler], quality: int, gain: float) -> None:
    for photo in PHOTOS:
        damaged = compress(photo, quality)
        restored = networks["deblock"].upscale(damaged).pixels
        assert compute_psnr(photo, restored) > compute_psnr(photo, damaged) + gain  # type: ignore[arg-type]


@pytest.mark.parametrize(("sigma", "gain"), [(15, 5.0), (25, 6.5), (50, 8.0)])
def test_noise_goes(networks: dict[str, NetworkUpscaler], sigma: float, gain: float) -> None:
    for photo in PHOTOS:
        damaged = add_noise(photo, 0, sigma)
        restored = networks["denoise"].upscale(damaged).pixels
        assert compute_psnr(photo, restored) > compute_psnr(photo, damaged) + gain  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["deblock", "denoise"])
def test_a_clean_image_stays_nearly_as_it_is(
    networks: dict[str, NetworkUpscaler], step: str
) -> None:
    for photo in PHOTOS:
        assert compute_psnr(photo, networks[step].upscale(photo).pixels) > 36  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["deblock", "denoise"])
def test_flat_colours_and_grey_stay(networks: dict[str, NetworkUpscaler], step: str) -> None:
    for colour in ((128, 128, 128), (20, 200, 90), (255, 255, 255), (0, 0, 0)):
        flat = np.full((40, 40, 3), colour, np.uint8)
        made = networks[step].upscale(flat).pixels.astype(int)
        assert abs(made[12:-12, 12:-12] - colour).max() <= 3
