"""A frame whose rows come from top to bottom, so that nobody needs to hold the whole of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superres.geometry import Size
from superres.image.frame import Frame
from superres.worker_pool import CpuLock


@dataclass(frozen=True, eq=False)
class FrameStream:
    """A frame of `size` as `strips` of any heights, to be taken once.

    `channels` and `bit_depth` are every strip's; see Frame. `turn` lends the cores where making
    strips needs all of them.
    """

    size: Size
    channels: int
    bit_depth: int
    strips: Iterable[Frame]
    milliseconds: int = 0
    lock: CpuLock | None = None

    @classmethod
    def of(cls, frame: Frame) -> "FrameStream":
        """Return a whole frame as one strip."""
        return cls(frame.size, frame.channels, frame.bit_depth, (frame,), frame.milliseconds)

    def bands(self, rows: int) -> Iterator[Frame]:
        """Yield strips of exactly `rows` rows and a last one of the rest, copied only where they
        must.
        """
        rest: list[Frame] = []
        missing = rows
        for strip in self.strips:
            top, height = 0, strip.size.height
            while height - top >= missing:
                yield _join_rows([*rest, strip.band(top, top + missing)])
                top, rest, missing = top + missing, [], rows
            if top < height:
                rest.append(strip.band(top, height))
                missing -= height - top
        if rest:
            yield _join_rows(rest)

    def whole(self) -> Frame:
        """Return all rows in one frame; the strip itself where there is only one."""
        strips = iter(self.strips)
        first = next(strips)
        if first.size == self.size:
            # Whoever makes the strips may have something to finish.
            assert next(strips, None) is None
            return first
        dtype = first.colour.dtype
        colour = np.empty((*self.size[::-1], first.colour.shape[2]), dtype)
        alpha: NDArray[Any] | None = None
        if first.alpha is not None:
            alpha = np.empty(self.size[::-1], dtype)
        made = Frame(colour, alpha, self.milliseconds)
        top = _copy_rows(first, made, 0)
        for strip in strips:
            top = _copy_rows(strip, made, top)
        return made


def _join_rows(frames: list[Frame]) -> Frame:
    """Return frames of one width below one another; the frame itself where there is only one."""
    first = frames[0]
    if len(frames) == 1:
        return first
    colour = np.concatenate([frame.colour for frame in frames])
    alphas = [frame.alpha for frame in frames if frame.alpha is not None]
    alpha: NDArray[Any] | None = np.concatenate(alphas) if alphas else None
    return Frame(colour, alpha, first.milliseconds)


def _copy_rows(strip: Frame, into: Frame, top: int) -> int:
    """Put a strip into a frame at row `top`; the row below it."""
    bottom = top + strip.size.height
    into.colour[top:bottom] = strip.colour
    if into.alpha is not None and strip.alpha is not None:
        into.alpha[top:bottom] = strip.alpha
    return bottom
