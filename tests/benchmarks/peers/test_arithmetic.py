import pytest
import torch

from benchmarks.peers.arithmetic import matmul_peak, operations
from benchmarks.peers.weights import random
from superres.catalogue import CATALOGUE
from superres.geometry import Size


def test_operations_are_two_per_product() -> None:
    spec = CATALOGUE["bicubic_pp.x3"]
    products = 9 * (3 * 32 + 32 * 32 + 32 * 32 + 32 * 108)  # at each pixel of half the resolution
    work = operations(spec, spec.build().state_dict(), Size(40, 24))
    assert work == 2 * products * 20 * 12


@pytest.mark.parametrize("name", ["dipnet.x4", "realesrgan.animevideo-x4", "swinir.lightweight-x2"])
def test_operations_grow_with_the_picture(name: str) -> None:
    spec = CATALOGUE[name]
    state = random(spec)
    small, large = (operations(spec, state, Size(side, 48)) for side in (48, 96))
    assert large == pytest.approx(2 * small, rel=0.02)


def test_the_peak_is_that_of_a_number_format() -> None:
    assert matmul_peak(torch.float32, 0.01) > matmul_peak(torch.float64, 0.01) > 0
