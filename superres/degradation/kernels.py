"""Blur kernels of the Real-ESRGAN paper: Gaussian, generalized, plateau and sinc.

Source: Wang et al., "Real-ESRGAN", ICCVW 2021, sections 3.2 and 3.4.
"""

import math

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float64]


def make_gaussian(
    radius: int, sigma: tuple[float, float], angle: float = 0.0, shape: float = 1.0
) -> Kernel:
    """Make a Gaussian kernel, or a generalized one.

    Args:
        radius: Of the window, in pixels.
        sigma: Standard deviations along the two axes, in pixels.
        angle: Of the first axis, in radians.
        shape: Exponent beta: 1 is the Gaussian, less has a sharper peak, more a flatter one.

    Returns:
        (2·radius + 1, 2·radius + 1) float64 of sum 1.
    """
    return _normalize(np.exp(-0.5 * _distances(radius, sigma, angle) ** shape))


def make_plateau(
    radius: int, sigma: tuple[float, float], angle: float = 0.0, shape: float = 1.0
) -> Kernel:
    """Make a kernel with a flat top and long tails.

    Args:
        radius: Of the window, in pixels.
        sigma: Widths along the two axes, in pixels.
        angle: Of the first axis, in radians.
        shape: Exponent beta.

    Returns:
        (2·radius + 1, 2·radius + 1) float64 of sum 1.
    """
    return _normalize(1 / (1 + _distances(radius, sigma, angle) ** shape))


def make_sinc(radius: int, cutoff: float) -> Kernel:
    """Make the circular ideal low-pass filter, whose window makes it ring and overshoot.

    Args:
        radius: Of the window, in pixels.
        cutoff: Frequency in radians per pixel, up to pi.

    Returns:
        (2·radius + 1, 2·radius + 1) float64 of sum 1.
    """
    from scipy.special import j1  # Executors that degrade nothing start without it

    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    distance = np.hypot(x, y)
    distance[radius, radius] = 1
    kernel = cutoff * j1(cutoff * distance) / (2 * math.pi * distance)
    kernel[radius, radius] = cutoff**2 / (4 * math.pi)
    return _normalize(kernel)


def _distances(radius: int, sigma: tuple[float, float], angle: float) -> Kernel:
    """Return the squared distances from the centre, in standard deviations."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return np.asarray((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2)


def _normalize(kernel: Kernel) -> Kernel:
    return np.asarray(kernel / kernel.sum())
