"""Pixels that no rule predicts, for tests of images."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

SIDES = st.integers(1, 24)
DEPTHS = st.sampled_from([np.uint8, np.uint16])


def noise(
    height: int, width: int, channels: int, depth: type = np.uint8, seed: int = 0
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    levels = np.iinfo(depth).max + 1
    return np.random.default_rng(seed).integers(0, levels, (height, width, channels), depth)
