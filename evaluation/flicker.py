"""How much of a video flickers: change over time where the original does not move."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["measure_flicker"]

_STILL_PIXELS = 0.25  # of motion between two frames, at most, in an area that counts as still
_LEVELS = 12  # of change, after motion: beyond is something uncovered, not noise
_REACH = 15  # pixels around what moves that do not count


def measure_flicker(
    originals: Sequence[NDArray[np.uint8]], made: Sequence[NDArray[np.uint8]]
) -> float:
    """Measure the change between successive frames in still areas, after motion is undone.

    Motion is estimated in the originals by dense inverse search (Kroeger et al. 2016), so that
    what a model adds does not count as motion.

    Args:
        originals: Frames (h, w, 3) uint8 before the model.
        made: As many frames (s·h, s·w, 3) uint8 after it.

    Returns:
        Mean absolute difference in levels of 255, over all still pixels; 0 where there are none.
    """
    # OpenCV's annotations have the class, but not the function that makes it.
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    total = count = 0.0
    for number in range(1, len(made)):
        before, after = (
            cv2.cvtColor(originals[index], cv2.COLOR_RGB2GRAY) for index in (number - 1, number)
        )
        flow = flow_of.calc(after, before, np.zeros((*after.shape, 2), np.float32))
        still = np.linalg.norm(flow, axis=2) < _STILL_PIXELS
        still &= cv2.absdiff(after, before) < _LEVELS
        still = cv2.erode(still.astype(np.uint8), np.ones((_REACH, _REACH), np.uint8))
        size = (made[number].shape[1], made[number].shape[0])
        scale = size[0] / after.shape[1]
        mask = cv2.resize(still, size, interpolation=cv2.INTER_NEAREST).astype(bool)
        large = cv2.resize(flow, size) * scale
        x, y = np.meshgrid(
            np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
        )
        warped = cv2.remap(made[number - 1], x + large[..., 0], y + large[..., 1], cv2.INTER_LINEAR)
        change = np.abs(made[number].astype(np.int16) - warped)[mask]
        total += float(change.sum())
        count += change.size
    return total / count if count else 0.0
