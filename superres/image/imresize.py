"""MATLAB's bicubic `imresize`, with which the literature makes its low-resolution images."""

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]


def cubic(x: _Floats) -> _Floats:
    """Return Keys' kernel with a = -0.5 at the distances `x` in pixels (Keys 1981, equation 15)."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def resize_matrix(length: int, target: int) -> _Floats:
    """Return `(target, length)` weights of antialiased bicubic resampling with mirrored borders."""
    scale = target / length
    shrink = min(scale, 1.0)
    support = 2 / shrink
    centre = (np.arange(target) + 0.5) / scale - 0.5
    first = np.floor(centre - support).astype(int)
    taps = first[:, None] + np.arange(int(np.ceil(2 * support)) + 2)[None]
    weights = cubic((centre[:, None] - taps) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(taps, 2 * length)
    mirrored = np.where(mirrored >= length, 2 * length - 1 - mirrored, mirrored)
    matrix = np.zeros((target, length))
    np.add.at(matrix, (np.arange(target)[:, None], mirrored), weights)
    return matrix


def imresize(image: NDArray[np.number], width: int, height: int) -> _Floats:
    """Resample an image as MATLAB's `imresize` does, unrounded.

    Args:
        image: (h, w, c) of any number type and range.
        width: Of the result, in pixels.
        height: Of the result, in pixels.

    Returns:
        (height, width, c) float64 in the range of `image`, overshoot included.
    """
    rows = resize_matrix(image.shape[0], height)
    columns = resize_matrix(image.shape[1], width)
    return np.asarray(
        np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float64), columns, optimize=True)
    )
