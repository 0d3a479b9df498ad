"""Several steps as one Upscaler: the image is decoded and encoded once, whatever is done between.

Between steps it has 16 bits, so that rounding does not add up.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superres.faces.enhancer import FaceEnhancer
from superres.geometry import Size
from superres.image.frame import Frame, Pixels
from superres.image.frame_stream import FrameStream
from superres.image.resample import resize_stream
from superres.inference.device import Device
from superres.inference.planning import Plan
from superres.inference.result import Cost, Progress, RowStream, split_into_strips
from superres.inference.upscaler import Upscaler
from superres.model_spec import ModelSpec

__all__ = ["ChainLink", "ChainedUpscaler"]

_DEPTH_FACTOR = 257  # from 8 bits to 16
_BAND_PIXELS = 2**18  # of the result that are blended at a time


class ChainLink(NamedTuple):
    """A step: an Upscaler or a FaceEnhancer. `is_main` marks the one that a request's tiles are
    for.
    """

    name: str
    upscaler: Upscaler | None = None
    faces: FaceEnhancer | None = None
    is_main: bool = False


class _State(NamedTuple):
    """An image on its way: `source` is what the enlargement, `scale` times, was made of."""

    image: Pixels
    source: Pixels
    scale: int


class ChainedUpscaler(Upscaler):
    """Does the steps of a chain one after another; made for one request."""

    def __init__(
        self,
        links: Sequence[ChainLink],
        spec: ModelSpec,
        device: Device,
        strength: float = 1.0,
        face_strength: float = 1.0,
    ) -> None:
        """Put together.

        Args:
            links: The steps, at least one.
            spec: Of the whole; its scale is the product of theirs.
            device: Of the steps.
            strength: 0..1, how much of the result is blended over the enlarged input.
            face_strength: 0..1, the same for restored faces.
        """
        self.links = tuple(links)
        self.spec = spec
        self.device = device
        self.strength = strength
        self.face_strength = face_strength
        self.faces_found = self.faces_restored = 0

    @property
    def report(self) -> Mapping[str, Any]:
        """The steps with their models, the strength, and what models and faces tell."""
        told: dict[str, Any] = {}
        for link in self.links:
            if link.upscaler is not None:
                told |= link.upscaler.report
            if link.faces is not None:
                told |= {
                    "face_model": link.faces.name,
                    "face_strength": self.face_strength,
                    "faces_found": self.faces_found,
                    "faces_restored": self.faces_restored,
                }
        steps = [
            {"step": link.name, "model": link.upscaler.spec.name}
            if link.upscaler
            else {"step": link.name}
            for link in self.links
        ]
        return {"restore": steps, "strength": self.strength, **told}

    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
        plan: Plan | None = None,
    ) -> RowStream:
        """Do all steps; the last gives its rows as it makes them. See Upscaler."""
        size = Size(pixels.shape[1], pixels.shape[0])
        full = size.times(self.spec.scale)
        cost = Cost()
        deep = len(self.links) > 1 and pixels.dtype == np.uint8
        start = pixels.astype(np.uint16) * np.uint16(_DEPTH_FACTOR) if deep else pixels
        call = _Call(self, tile, overlap, progress, plan, cost)
        rows: Iterator[Pixels] = call.rows(_State(start, start, 1))
        if self.strength < 1:
            rows = _blend(rows, start, full, self.strength)
        return RowStream(full, _reduce_depth(rows) if deep else rows, cost)


class _Call:
    """One image's way through a chain."""

    def __init__(
        self,
        chain: ChainedUpscaler,
        tile: int,
        overlap: int | None,
        progress: Progress,
        plan: Plan | None,
        cost: Cost,
    ) -> None:
        self.chain = chain
        self.tile, self.overlap, self.plan = tile, overlap, plan
        self.progress = progress
        self.cost = cost

    def rows(self, state: _State) -> Iterator[Pixels]:
        """Yield the rows of the last step."""
        *links, last = self.chain.links
        for number, link in enumerate(links):
            state = self.apply(link, number, state)
        if last.upscaler is None:
            yield from split_into_strips(self.apply(last, len(links), state).image)
            return
        made = self.start(last, len(links), state.image)
        del state
        yield from made
        self.add(made.cost)

    def apply(self, link: ChainLink, number: int, state: _State) -> _State:
        """Return the image after a step."""
        image, source, scale = state
        if link.upscaler is not None:
            made = self.start(link, number, image).read_all()
            self.add(made.cost)
            if link.upscaler.spec.scale > 1:
                return _State(made.pixels, image, scale * link.upscaler.spec.scale)
            return _State(made.pixels, made.pixels if scale == 1 else source, scale)
        assert link.faces is not None
        started = time.perf_counter()
        notify = self.shift(number)
        enhanced = link.faces.enhance(
            source, image, scale, lambda *_: notify(0, 1), self.chain.face_strength
        )
        notify(1, 1)
        self.chain.faces_found += enhanced.found
        self.chain.faces_restored += enhanced.restored
        self.cost.seconds += time.perf_counter() - started
        return _State(enhanced.pixels, enhanced.pixels if scale == 1 else source, scale)

    def start(self, link: ChainLink, number: int, image: Pixels) -> RowStream:
        """Begin the work of a network."""
        assert link.upscaler is not None
        overlap, plan = (self.overlap, self.plan) if link.is_main else (None, None)
        return link.upscaler.stream(image, self.tile, overlap, self.shift(number), plan)

    def shift(self, number: int) -> Callable[[int, int], None]:
        """Return what tells the progress of a step as a part of the whole."""
        steps = len(self.chain.links)
        return lambda done, total: self.progress(number * total + done, steps * total)

    def add(self, cost: Cost) -> None:
        """Add what a step took."""
        total = Cost.sum((self.cost, cost))
        vars(self.cost).update(vars(total))


def _blend(rows: Iterator[Pixels], start: Pixels, full: Size, strength: float) -> Iterator[Pixels]:
    """Yield rows blended over the start, enlarged by Lanczos."""
    channels, depth = start.shape[2], start.dtype.itemsize * 8
    made = FrameStream(full, channels, depth, (Frame(part) for part in rows))
    plain = resize_stream(FrameStream.of(Frame(start)), full, weighted=False)
    band = max(1, _BAND_PIXELS // full.width)
    for upper, lower in zip(made.bands(band), plain.bands(band), strict=True):
        mixed = upper.colour * np.float32(strength) + lower.colour * np.float32(1 - strength)
        yield _round_levels(mixed, deep=depth == 16)


def _round_levels(values: NDArray[np.float32], deep: bool) -> Pixels:
    """Return values as whole levels of 16 bits where `deep`, else of 8."""
    levels = np.rint(values)
    return levels.astype(np.uint16) if deep else levels.astype(np.uint8)


def _reduce_depth(rows: Iterator[Pixels]) -> Iterator[Pixels]:
    """Yield rows of 16 bits in 8, rounded to the nearest."""
    for part in rows:
        wide: NDArray[Any] = part.astype(np.uint32)
        yield ((wide + _DEPTH_FACTOR // 2) // _DEPTH_FACTOR).astype(np.uint8)
