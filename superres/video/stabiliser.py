"""Less flicker in still areas, without a look ahead: Stabiliser.

A network draws noise and compression errors of its input larger, a little otherwise in each frame.
Where the input has stood still, the output follows the new frame by a small share only; where it
moves, at once. An area counts as still while its input stays near the one that the output follows,
by two thresholds, so that it does not switch to and fro.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from superres.image.frame import Frame

__all__ = ["Stabiliser"]

_STILL, _MOVING = 3.0, 7.0  # levels of 255: below is still, above moves, between stays as it was
_NOISE_SHARE = 0.4  # of the mean absolute difference, which noise alone makes
_WINDOW = 5  # input pixels that differences are averaged over
_REACH = 5  # input pixels around what moves that count as moving
_MIN_SHARE = 0.12  # of the new frame, at full strength


@dataclass
class Stabiliser:
    """Smooths frames over time where their input stands still.

    Attributes:
        strength: 0 changes nothing, 1 smooths most.
    """

    strength: float
    _input: NDArray[np.float32] | None = field(default=None, repr=False)
    _output: NDArray[np.float32] | None = field(default=None, repr=False)
    _still: NDArray[np.bool_] | None = field(default=None, repr=False)

    def save(self, path: Path) -> None:
        """Keep what the next frame needs."""
        if self._input is not None and self._output is not None and self._still is not None:
            with path.open("wb") as file:
                np.savez(file, input=self._input, output=self._output, still=self._still)

    def load(self, path: Path) -> None:
        """Go on after the frame that `save` was called after."""
        with np.load(path) as kept:
            self._input, self._output, self._still = kept["input"], kept["output"], kept["still"]

    def smooth(self, source: Frame, made: Frame) -> Frame:
        """Return the next frame, smoothed.

        Args:
            source: The model's input, RGB.
            made: The model's output; of any size.

        Returns:
            A frame like `made`, its alpha untouched.
        """
        given = source.colour.astype(np.float32) * np.float32(255 / source.white)
        large = made.colour.astype(np.float32)
        if self._input is None or self._output is None or self._input.shape != given.shape:
            self._input, self._output = given, large
            self._still = np.zeros(given.shape[:2], bool)
            return made
        share = self._weigh(given, self._input)
        self._input += share[..., None] * (given - self._input)
        scaled = cv2.resize(share, made.size, interpolation=cv2.INTER_LINEAR)
        self._output += scaled[..., None] * (large - self._output)
        levels: Any = np.rint(self._output).astype(made.colour.dtype)
        return Frame(levels, made.alpha, made.milliseconds)

    def _weigh(
        self, given: NDArray[np.float32], followed: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the share of the new frame (h, w), from small to 1."""
        change = given - followed
        # Noise averages out, also where it is stronger than a faint motion; fine patterns that move
        # average out as well, hence the second.
        mean, absolute = (
            cv2.blur(values, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
            for values in (change, np.abs(change))
        )
        difference: Any = np.maximum(np.abs(mean), _NOISE_SHARE * absolute).max(axis=2)
        still = difference < _STILL
        still |= self._still & (difference < _MOVING)
        around = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
        moving = cv2.dilate((~still).astype(np.float32), around)
        self._still = still
        moving = cv2.GaussianBlur(moving, (0, 0), _REACH / 3)
        least = 1 - self.strength * (1 - _MIN_SHARE)
        # The blur must not leave a trace of the past where something moves.
        share: NDArray[np.float32] = np.where(still, least + (1 - least) * moving, 1)
        return share.astype(np.float32)
