"""A tile takes about the memory that its row promises; one model of each architecture."""

import subprocess
import sys

import pytest

from superres.catalogue import CATALOGUE

# Model, and a side that takes some hundred megabytes.
CASES = {
    "lanczos.x3": 500,
    "bicubic_pp.x3": 800,
    "dipnet.x4": 400,
    "lapsrn.x4": 160,
    "lapsrn.ms-d5r2-x4": 160,
    "realesrgan.x4plus": 160,
    "realesrgan.general-x4": 400,
    "swinir.lightweight-x2": 256,
    "swin2sr.lightweight-x2": 256,
}

TILE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
from evaluation.footprint import peak, start_afresh
from superres.catalogue import CATALOGUE
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
spec, side = CATALOGUE[sys.argv[1]], int(sys.argv[2])
upscaler = NetworkUpscaler(spec, spec.build(), Device(torch.device("cpu")))
upscaler.upscale(np.zeros((32, 32, 3), np.uint8), tile=10_000)
image = np.zeros((side, side, 3), np.uint8)
before = start_afresh()
upscaler.upscale(image, tile=10_000)
print((peak() - before) * 2**20 / side**2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_tile_takes_about_what_its_row_says(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TILE, name, str(CASES[name])],
        capture_output=True,
        text=True,
        check=True,
    )
    told = CATALOGUE[name].bytes_per_pixel
    # The process's peak has the result and the libraries' workspace too. Far above, a tile might
    # not fit; far below, images would be cut for nothing.
    assert 0.45 * told <= float(done.stdout) <= 1.75 * told
