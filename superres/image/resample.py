"""Images at another size, by antialiased Lanczos-3, a few rows at a time.

Rows are resampled horizontally as they come; then those that the filter reaches make the next rows
of the result. The result is that of Pillow's `resize` of the whole image, horizontally first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.geometry import Size
from superres.image.frame import Frame, Pixels
from superres.image.frame_stream import FrameStream

_LOBES = 3  # Lanczos-3 reaches that many source pixels either way, more where it shrinks
BAND = 2**18  # pixels resampled or made at a time; stays in the cache

Plane = NDArray[Any]  # (h, w) of any type that Pillow resamples, or (h, w, 3) uint8


def needs_premultiplication(frame: Frame) -> bool:
    """Return whether alpha varies: then colour must be premultiplied before resampling."""
    return frame.alpha is not None and bool(frame.alpha.min() < frame.alpha.max())


def resize_stream(stream: FrameStream, size: Size, weighted: bool) -> FrameStream:
    """Return `scroll` at `size`, 16 bits kept; hidden colour never bleeds.

    `weighted` is what `needs_premultiplication` says of the whole image.
    """
    if size == stream.size:
        return stream
    return replace(stream, size=size, strips=_strips(stream, size, weighted))


def resize_frame(frame: Frame, size: Size) -> Frame:
    """Return a frame at another size, by antialiased Lanczos."""
    return resize_stream(FrameStream.of(frame), size, needs_premultiplication(frame)).whole()


def _strips(stream: FrameStream, size: Size, weighted: bool) -> Iterator[Frame]:
    """Yield the resampled strips of `scroll`."""
    slabs: list[Slab] = []
    made_per_row = size.pixels // stream.size.height
    for band in stream.bands(max(1, BAND // max(stream.size.width, made_per_row))):
        planes = [_horizontal(plane, size.width) for plane in _planes(band, weighted)]
        slabs = slabs or [Slab(stream.size.height, size.height) for _ in planes]
        made = [slab.push(plane) for slab, plane in zip(slabs, planes, strict=True)]
        if len(made[0]):
            yield _assemble_frame(made, band, weighted)


def _planes(frame: Frame, weighted: bool) -> list[Plane]:
    """Return what of a frame is resampled: its colour, or each channel times alpha, and alpha, as
    fp32.

    Pillow resamples RGB of 8 bits together, 16 bits one channel at a time.
    """
    channels: list[Plane] = [frame.colour[..., i] for i in range(frame.colour.shape[2])]
    if weighted:
        assert frame.alpha is not None
        weight = frame.alpha.astype(np.float32)
        return [*(channel * weight for channel in channels), weight]
    return [frame.colour] if frame.colour.shape[2:] == (3,) and frame.bit_depth == 8 else channels


def _assemble_frame(planes: Sequence[Plane], like: Frame, weighted: bool) -> Frame:
    """Return the frame of resampled planes, of the depth of `like`."""
    if weighted:
        return _unpremultiply(planes, like)
    colour = planes[0] if planes[0].ndim == 3 else np.stack(planes, axis=2)
    alpha: Pixels | None = None
    if like.alpha is not None:
        # Not weighted, so it is the same everywhere.
        alpha = np.full(colour.shape[:2], like.alpha[0, 0], like.alpha.dtype)
    return replace(like, colour=colour, alpha=alpha)


def _unpremultiply(planes: Sequence[Plane], like: Frame) -> Frame:
    """Return the frame of channels that were weighted with their alpha, the last plane."""
    *products, weight = planes
    # Alpha that rounds to 0 hides its colour; dividing by less would only amplify noise.
    visible = weight >= 0.5
    divisor = np.where(visible, weight, np.float32(1))
    colour = np.empty((*weight.shape, len(products)), like.colour.dtype)
    for channel, product in enumerate(products):
        values: NDArray[np.float32] = np.divide(product, divisor, out=product)
        colour[..., channel] = _levels(values * visible, like.white)
    alpha: Plane = _levels(weight, like.white).astype(like.colour.dtype)
    return replace(like, colour=colour, alpha=alpha)


def _levels(values: NDArray[np.float32], white: int) -> NDArray[np.float32]:
    """Return whole levels within 0..white."""
    return np.rint(np.clip(values, 0, white, out=values), out=values)


# One plane


def _horizontal(plane: Plane, width: int) -> Plane:
    """Return `plane` resampled to `width` columns."""
    if plane.shape[1] == width:
        return plane
    height, old = plane.shape[:2]
    return _resample_plane(plane, Size(width, height), (0, 0, old, height))


def _resample_plane(plane: Plane, size: Size, box: tuple[float, float, float, float]) -> Plane:
    """Return the part of a plane within `box` (left, top, right, bottom) at `size`."""
    image = Pillow.fromarray(np.ascontiguousarray(plane))
    return np.array(image.resize(size, Pillow.Resampling.LANCZOS, box=box))


@dataclass
class Slab:
    """The vertical pass over a plane of `source` rows that come from top to bottom, to `target`.

    Holds the rows that later ones of the result still need.
    """

    source: int
    target: int
    rows: Plane | None = None
    first: int = 0  # the number of the first row held
    done: int = 0  # rows of the result

    @property
    def scale(self) -> float:
        """Source rows for each of the result."""
        return self.source / self.target

    @property
    def reach(self) -> float:
        """How far from its centre a row of the result looks, in source rows."""
        return _LOBES * max(self.scale, 1.0)

    def push(self, rows: Plane) -> Plane:
        """Return the rows of the result, maybe none, that are complete once `rows` have come."""
        held = rows if self.rows is None else np.concatenate([self.rows, rows])
        top, bottom = self.done, self.complete(self.first + len(held))
        made = self.between(held, top, bottom) if bottom > top else held[:0]
        self.done = bottom
        # A row more than the filter reaches, as Pillow rounds to the nearest.
        needed = max(floor((bottom + 0.5) * self.scale - self.reach) - 1, self.first)
        self.rows = held[needed - self.first :].copy()
        self.first = needed
        return made

    def complete(self, have: int) -> int:
        """Return how many rows of the result need none after the first `have`."""
        if have == self.source:
            return self.target
        return max(self.done, ceil((have - 1 - self.reach) / self.scale - 0.5))

    def between(self, held: Plane, top: int, bottom: int) -> Plane:
        """Return rows `top` to `bottom` of the result, from those that are `held`."""
        if self.source == self.target:
            return held[top - self.first : bottom - self.first]
        upper = max(top * self.scale - self.first, 0.0)
        lower = min(bottom * self.scale - self.first, float(len(held)))
        width = held.shape[1]
        return _resample_plane(held, Size(width, bottom - top), (0, upper, width, lower))
