"""A photo of any size, made of public-domain photos that scikit-image brings."""

from itertools import cycle

import numpy as np
from numpy.typing import NDArray

HEIGHT = 300  # rows of each photo that are used


def photo(width: int, height: int) -> NDArray[np.uint8]:
    """Return (height, width, 3) RGB: rows of photos beside one another, all unscaled."""
    from skimage import data

    images = cycle([data.astronaut(), data.coffee(), data.rocket(), data.chelsea()])
    made = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, HEIGHT):
        left = 0
        while left < width:
            part = next(images)[: min(HEIGHT, height - top), : width - left]
            made[top : top + part.shape[0], left : left + part.shape[1]] = part
            left += part.shape[1]
    return made
