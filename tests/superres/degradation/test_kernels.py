import math
from collections.abc import Callable

import numpy as np
import pytest

from superres.degradation.kernels import Kernel, make_gaussian, make_plateau, make_sinc


def test_a_gaussian_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    impulse = np.zeros((21, 21))
    impulse[10, 10] = 1
    expected = gaussian_filter(impulse, (0.9, 2.1), truncate=20)
    made = make_gaussian(10, (2.1, 0.9))
    assert abs(made - expected / expected.sum()).max() < 1e-4


def test_an_angle_turns_the_kernel() -> None:
    across = make_gaussian(7, (3.0, 0.7))
    turned = make_gaussian(7, (3.0, 0.7), angle=math.pi / 2)
    assert abs(turned - across.T).max() < 1e-12


@pytest.mark.parametrize("make", [make_gaussian, make_plateau])
@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0])
def test_kernels_sum_to_one_and_peak_in_the_centre(
    make: Callable[..., Kernel], shape: float
) -> None:
    kernel = make(9, (1.5, 2.5), 0.4, shape)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert kernel.argmax() == kernel.size // 2


def test_sinc_passes_below_its_cutoff_and_stops_above() -> None:
    kernel = make_sinc(60, math.pi / 2)
    spectrum = abs(np.fft.fft2(kernel))
    frequency = 2 * math.pi * np.hypot(*np.meshgrid(*[np.fft.fftfreq(121)] * 2))
    assert spectrum[frequency < math.pi / 2 - 0.3] == pytest.approx(1, abs=0.1)
    assert spectrum[frequency > math.pi / 2 + 0.3].max() < 0.1
