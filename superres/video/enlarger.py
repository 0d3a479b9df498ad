"""Frames through a model: several at a time, in order, and each different one only once."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.size_expression import SizeExpression
from superres.inference.upscaler import Upscaler
from superres.pipeline import OutputOptions, upscale_frame
from superres.video.colour import Converter
from superres.video.frames import TimedFrame
from superres.video.probe import Orientation
from superres.video.stabiliser import Stabiliser

__all__ = ["EnlargedFrame", "FrameEnlarger", "round_to_even"]

_FRAMES_PER_DEVICE = {"cpu": 2}
_FRAMES_PER_GPU = 4  # at a time, so that equal tiles of theirs share batches


class EnlargedFrame(NamedTuple):
    """A frame as it is encoded, shown from `start` on."""

    start: int
    frame: Frame


@dataclass
class FrameEnlarger:
    """Upscales the frames of one video.

    Attributes:
        upscalers: The model, once on each device that takes part.
        converter: Between the video's pixels and RGB.
        orientation: How frames are turned first.
        scale: Size of the output before it is padded; None for the model's own.
        target: Size of the output.
        tile: As OutputOptions has it.
        max_difference: Levels of 255 at which a frame equals the last one computed.
        stabiliser: Smooths the output over time, where that is asked for.
        reused: Frames that took the last one's output, so far.
    """

    upscalers: Sequence[Upscaler]
    converter: Converter
    orientation: Orientation
    scale: SizeExpression | None
    target: Size
    tile: int = 0
    max_difference: int = 0
    stabiliser: Stabiliser | None = None
    reused: int = field(default=0, init=False)

    def enlarge(self, frames: Iterable[TimedFrame]) -> Iterator[EnlargedFrame]:
        """Upscale frames, a few ahead of the one that is taken.

        Args:
            frames: Of one segment: the first is computed whatever came before.

        Yields:
            EnlargedFrame: One for each, in their order.
        """
        devices = cycle(self.upscalers)
        depth = sum(_count_at_once(upscaler) for upscaler in self.upscalers)
        last: tuple[Frame, Future[Frame]] | None = None
        waiting: deque[tuple[int, Frame, Future[Frame]]] = deque()
        with ThreadPoolExecutor(depth, "video-frame") as pool:
            try:
                for timed in frames:
                    source = self.orientation.apply(self.converter.read(timed.image))
                    if last is not None and self._is_equal(source, last[0]):
                        self.reused += 1
                    else:
                        last = source, pool.submit(self._upscale, source, next(devices))
                    waiting.append((timed.start, *last))
                    if len(waiting) > depth:
                        yield self._finish(*waiting.popleft())
                while waiting:
                    yield self._finish(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _upscale(self, source: Frame, upscaler: Upscaler) -> Frame:
        """Return a frame at the target's size, its last column and row repeated where one is
        missing.
        """
        options = OutputOptions(scale=self.scale, tile=self.tile)
        return _pad_to(upscale_frame(source, upscaler, options), self.target)

    def _finish(self, start: int, source: Frame, future: Future[Frame]) -> EnlargedFrame:
        """Wait for a frame."""
        made = future.result()
        return EnlargedFrame(
            start, self.stabiliser.smooth(source, made) if self.stabiliser else made
        )

    def _is_equal(self, one: Frame, other: Frame) -> bool:
        """Return whether a frame may take another's output."""
        if (one.alpha is None) != (other.alpha is None):
            return False
        pairs = [(one.colour, other.colour)]
        if one.alpha is not None and other.alpha is not None:
            pairs.append((one.alpha, other.alpha))
        if not self.max_difference:
            return all(np.array_equal(first, second) for first, second in pairs)
        most = self.max_difference * one.white // 255
        return all(
            int(np.abs(first.astype(np.int32) - second).max()) <= most for first, second in pairs
        )


def _count_at_once(upscaler: Upscaler) -> int:
    """Return how many frames a device works on at a time."""
    return _FRAMES_PER_DEVICE.get(upscaler.device.device.type, _FRAMES_PER_GPU)


def _pad_to(frame: Frame, size: Size) -> Frame:
    """Return a frame of `size`, its last row and column repeated."""
    if frame.size == size:
        return frame
    right, bottom = size.width - frame.size.width, size.height - frame.size.height
    sides = ((0, bottom), (0, right))
    alpha: Any = None if frame.alpha is None else np.pad(frame.alpha, sides, "edge")
    colour: Any = np.pad(frame.colour, (*sides, (0, 0)), "edge")
    return Frame(colour, alpha, frame.milliseconds)


def round_to_even(size: Size) -> Size:
    """Return a size with even sides, not smaller: video's colour is stored by 2×2 pixels."""
    return Size(size.width + size.width % 2, size.height + size.height % 2)
