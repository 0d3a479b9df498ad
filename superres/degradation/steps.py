"""Steps of a degradation: each draws its parameters, changes the image and records what it did.

Images are (h, w, 3) float32 RGB in 0..1. Ranges are drawn from uniformly.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from superres.degradation.kernels import make_gaussian, make_plateau, make_sinc
from superres.image.imresize import imresize

Floats = NDArray[np.float32]
Range = tuple[float, float]
Record = dict[str, Any]
"""A step's name and the parameters that were drawn for it."""

_FILTERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_ENCODERS = {
    "jpeg": (".jpg", cv2.IMWRITE_JPEG_QUALITY),
    "webp": (".webp", cv2.IMWRITE_WEBP_QUALITY),
}


class Context(NamedTuple):
    """What the steps of one degradation share."""

    target: tuple[int, int]  # height and width of the image at the end, in pixels
    draw: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class DegradationStep(ABC):
    """One step, done with a probability."""

    probability: float = 1.0

    def apply(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Apply the step, or leave the image as it is.

        Args:
            image: (h, w, 3) float32 RGB in 0..1.
            context: The size at the end of all steps and the source of random parameters.

        Returns:
            The image in 0..1, and a record of each step that was done.
        """
        if context.draw.random() >= self.probability:
            return image, []
        changed, record = self.change(image, context)
        return np.clip(changed, 0, 1, dtype=np.float32), record

    @abstractmethod
    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Return the changed image, not clipped, and the records."""


@dataclass(frozen=True, kw_only=True)
class Blur(DegradationStep):
    """Convolution with a random kernel; the shares of the families are drawn from in order."""

    sigma: Range
    anisotropic: float = 0.0  # share of kernels with two widths and an angle
    generalized: float = 0.0
    plateau: float = 0.0
    sinc: float = 0.0
    generalized_shape: Range = (0.5, 4.0)
    plateau_shape: Range = (1.0, 2.0)
    radius: tuple[int, int] = (3, 10)

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Blur the image with mirrored borders."""
        radius = int(context.draw.integers(self.radius[0], self.radius[1] + 1))
        if context.draw.random() < self.sinc:
            cutoff = float(context.draw.uniform(math.pi / (3 if radius < 6 else 5), math.pi))
            return _filter(image, make_sinc(radius, cutoff)), [
                {"step": "sinc", "radius": radius, "cutoff": cutoff}
            ]
        first = float(context.draw.uniform(*self.sigma))
        turned = context.draw.random() < self.anisotropic
        second = float(context.draw.uniform(*self.sigma)) if turned else first
        angle = float(context.draw.uniform(-math.pi, math.pi)) if turned else 0.0
        family, shape = self._draw_family(context.draw)
        make = make_plateau if family == "plateau" else make_gaussian
        kernel = make(radius, (first, second), angle, shape)
        record = {"step": "blur", "family": family, "radius": radius, "sigma": [first, second]}
        return _filter(image, kernel), [{**record, "angle": angle, "shape": shape}]

    def _draw_family(self, draw: np.random.Generator) -> tuple[str, float]:
        share = draw.random()
        if share < self.generalized:
            return "generalized", _draw_around_one(self.generalized_shape, draw)
        if share < self.generalized + self.plateau:
            return "plateau", _draw_around_one(self.plateau_shape, draw)
        return "gaussian", 1.0


def _draw_around_one(bounds: Range, draw: np.random.Generator) -> float:
    """Return a value below 1 as often as above it."""
    below = bounds[0] < 1 and draw.random() < 0.5
    return float(
        draw.uniform(bounds[0], 1) if below else draw.uniform(max(1, bounds[0]), bounds[1])
    )


def _filter(image: Floats, kernel: NDArray[np.float64]) -> Floats:
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


@dataclass(frozen=True, kw_only=True)
class Resize(DegradationStep):
    """Resampling by a random factor with a random filter."""

    factors: Range
    up: float = 0.2  # share of enlargements; the rest reduces, but for `keep`
    keep: float = 0.1
    of_target: bool = False  # factors of the target's size, not of the image's present one

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Resample to a factor of the image's or of the target's size."""
        share = context.draw.random()
        factor = 1.0
        if share < self.up:
            factor = float(context.draw.uniform(1, max(1.0, self.factors[1])))
        elif share < 1 - self.keep:
            factor = float(context.draw.uniform(self.factors[0], 1))
        sides = context.target if self.of_target else image.shape[:2]
        size = tuple(max(8, round(side * factor)) for side in sides)
        name = str(context.draw.choice(list(_FILTERS)))
        return _resample(image, (size[0], size[1]), name), [
            {"step": "resize", "factor": factor, "filter": name}
        ]


@dataclass(frozen=True, kw_only=True)
class FitTarget(DegradationStep):
    """Resampling to the size that the degraded image has at the end."""

    filters: tuple[str, ...] = tuple(_FILTERS)  # "matlab" is MATLAB's antialiased bicubic

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Resample to the target's size."""
        name = str(context.draw.choice(list(self.filters)))
        return _resample(image, context.target, name), [{"step": "fit", "filter": name}]


def _resample(image: Floats, size: tuple[int, int], name: str) -> Floats:
    height, width = size
    if name == "matlab":
        return imresize(image, width, height).astype(np.float32)
    if name != "area" and height < image.shape[0]:
        # OpenCV's filters read four points at most: what lies between them is averaged first.
        factor = min(image.shape[0] // height, image.shape[1] // width)
        if factor > 1:
            near = (image.shape[1] // factor, image.shape[0] // factor)
            image = np.asarray(cv2.resize(image, near, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(image, (width, height), interpolation=_FILTERS[name]))


@dataclass(frozen=True, kw_only=True)
class Noise(DegradationStep):
    """Gaussian or Poisson noise, of the colours apart or of all alike."""

    sigma: Range  # 8-bit levels
    poisson: Range = (0.05, 3.0)  # factor of the noise of a sensor that counts 256 photons
    poisson_share: float = 0.0
    grey: float = 0.4  # share of images whose noise is the same in all colours

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Add the noise."""
        is_grey = bool(context.draw.random() < self.grey)
        shape = (*image.shape[:2], 1) if is_grey else image.shape
        if context.draw.random() < self.poisson_share:
            scale = float(context.draw.uniform(*self.poisson))
            mean = image.mean(axis=2, keepdims=True) if is_grey else image
            counted = context.draw.poisson(mean.astype(np.float64) * 256) / 256 - mean
            return image + (scale * counted).astype(np.float32), [
                {"step": "noise", "kind": "poisson", "scale": scale, "grey": is_grey}
            ]
        normal = context.draw.standard_normal(shape, dtype=np.float32)
        sigma = float(context.draw.uniform(*self.sigma))
        return image + normal * (sigma / 255), [
            {"step": "noise", "kind": "gaussian", "sigma": sigma, "grey": is_grey}
        ]


@dataclass(frozen=True, kw_only=True)
class Compress(DegradationStep):
    """JPEG or WebP, written and read again."""

    kind: Literal["jpeg", "webp"] = "jpeg"
    quality: tuple[int, int]
    shift: int = 0  # pixels, up to which the grid of blocks begins before the image: a crop's does

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Encode and decode the image in 8 bits."""
        quality = int(context.draw.integers(self.quality[0], self.quality[1] + 1))
        record: Record = {"step": self.kind, "quality": quality}
        top, left = 0, 0
        if self.shift:
            top, left = (int(v) for v in context.draw.integers(0, self.shift + 1, 2))
            image = np.asarray(cv2.copyMakeBorder(image, top, 0, left, 0, cv2.BORDER_REFLECT_101))
            record["shift"] = [left, top]
        suffix, flag = _ENCODERS[self.kind]
        pixels = np.rint(image[..., ::-1] * 255).astype(np.uint8)
        written, data = cv2.imencode(suffix, pixels, [flag, quality])
        if not written:
            raise ValueError(f"an image of {image.shape} cannot be written as {self.kind}")
        read = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.float32)
        changed = np.ascontiguousarray(read[top:, left:, ::-1]) / np.float32(255)
        return changed, [record]


@dataclass(frozen=True, kw_only=True)
class AnyOrder(DegradationStep):
    """Steps that are done in a random order."""

    steps: tuple[DegradationStep, ...]

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Apply the steps in a drawn order."""
        done: list[Record] = []
        for index in context.draw.permutation(len(self.steps)):
            image, records = self.steps[index].apply(image, context)
            done += records
        return image, done


@dataclass(frozen=True, kw_only=True)
class OneOf(DegradationStep):
    """One of several steps, all alike in probability."""

    steps: tuple[DegradationStep, ...]

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        """Apply the drawn step."""
        return self.steps[int(context.draw.integers(len(self.steps)))].apply(image, context)
