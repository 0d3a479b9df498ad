"""Named degradations: sequences of steps that end at the size of the low-resolution image."""

from typing import NamedTuple

import numpy as np

from superres.degradation.steps import (
    AnyOrder,
    Blur,
    Compress,
    Context,
    DegradationStep,
    FitTarget,
    Floats,
    Noise,
    OneOf,
    Record,
    Resize,
)
from superres.degradation.video_compression import CompressVideo

# Shares of the kernels, of section 4.1 of the Real-ESRGAN paper.
_ANISOTROPIC, _GENERALIZED, _PLATEAU, _SINC = 0.31, 0.15, 0.15, 0.1


class Degraded(NamedTuple):
    """A degraded image and what was done to it."""

    image: Floats  # (h, w, 3) RGB in 0..1, of whole 8-bit levels
    records: list[Record]


class Degradation(NamedTuple):
    """A degradation as data."""

    description: str
    steps: tuple[DegradationStep, ...]

    def degrade(
        self, image: Floats, target: tuple[int, int], draw: np.random.Generator
    ) -> Degraded:
        """Degrade an image.

        Args:
            image: (h, w, 3) float32 RGB in 0..1.
            target: Height and width of the result, in pixels.
            draw: Source of everything random: the same state gives the same image.

        Returns:
            The result, rounded to 8-bit levels, with the parameters of every step.
        """
        context = Context(target, draw)
        done: list[Record] = []
        for step in self.steps:
            image, records = step.apply(image, context)
            done += records
        return Degraded((np.rint(image * 255) / 255).astype(np.float32), done)


_KEEP = FitTarget(filters=("area",))  # changes nothing where the size stays
_BLUR = Blur(
    sigma=(0.2, 3.0),
    anisotropic=_ANISOTROPIC,
    generalized=_GENERALIZED,
    plateau=_PLATEAU,
    sinc=_SINC,
)
_SECOND_BLUR = Blur(
    probability=0.8,
    sigma=(0.2, 1.5),
    anisotropic=_ANISOTROPIC,
    generalized=_GENERALIZED,
    plateau=_PLATEAU,
    sinc=_SINC,
)
_LAST_SINC = Blur(probability=0.8, sigma=(0.2, 0.2), sinc=1.0)
_JPEG = Compress(quality=(30, 95))
_JPEG_OR_WEBP = OneOf(steps=(_JPEG, _JPEG, _JPEG, Compress(kind="webp", quality=(30, 95))))


class _FitThenSinc(FitTarget):
    """Resampling to the target followed by the last sinc filter, as one step of an order."""

    def change(self, image: Floats, context: Context) -> tuple[Floats, list[Record]]:
        image, fitted = super().change(image, context)
        image, ringing = _LAST_SINC.apply(image, context)
        return image, fitted + ringing


RECIPES = {
    "none": Degradation("the size alone, by area averaging", (_KEEP,)),
    "bicubic": Degradation(
        "MATLAB's antialiased bicubic reduction, as in the literature",
        (FitTarget(filters=("matlab",)),),
    ),
    "clean": Degradation(
        "a reduction by any usual filter, a third of the images in JPEG of high quality",
        (
            FitTarget(filters=("matlab", "area", "bicubic", "bilinear")),
            Compress(probability=0.33, quality=(85, 98)),
        ),
    ),
    "light": Degradation(
        "bicubic reduction, noise up to 5 levels, JPEG of quality 70 or more",
        (
            FitTarget(filters=("matlab",)),
            Noise(probability=0.5, sigma=(0.0, 5.0)),
            Compress(probability=0.5, quality=(70, 95)),
        ),
    ),
    "moderate": Degradation(
        "bicubic reduction, noise up to 12 levels, JPEG of quality 35 or more",
        (
            FitTarget(filters=("matlab",)),
            Noise(probability=0.5, sigma=(0.0, 12.0)),
            Compress(probability=0.5, quality=(35, 95)),
        ),
    ),
    "photo": Degradation(
        "what photos on the web went through: soft focus, noise up to 14 levels, one compression",
        (
            FitTarget(),
            Blur(probability=0.5, sigma=(0.2, 1.8), anisotropic=0.3),
            Noise(probability=0.6, sigma=(0.0, 14.0), poisson_share=0.2, poisson=(0.05, 1.0)),
            OneOf(
                probability=0.75,
                steps=(_JPEG, _JPEG, _JPEG, Compress(kind="webp", quality=(30, 95))),
            ),
        ),
    ),
    "jpeg": Degradation(
        "JPEG of any quality, sometimes twice, on a grid of blocks that a crop has moved",
        (
            _KEEP,
            Compress(quality=(8, 95), shift=7),
            Compress(probability=0.15, quality=(30, 95), shift=7),
        ),
    ),
    "noise": Degradation(
        "noise up to 50 levels, of a sensor or Gaussian, half of the images then in a good JPEG",
        (
            _KEEP,
            Noise(sigma=(0.0, 50.0), poisson_share=0.25),
            Compress(probability=0.5, quality=(75, 98), shift=7),
        ),
    ),
    "realesrgan": Degradation(
        "first- and second-order blur, resizing, noise and compression of the Real-ESRGAN paper",
        (
            _BLUR,
            Resize(factors=(0.15, 1.5), up=0.2, keep=0.1),
            Noise(sigma=(1.0, 30.0), poisson_share=0.5),
            _JPEG_OR_WEBP,
            _SECOND_BLUR,
            Resize(factors=(0.3, 1.2), up=0.3, keep=0.3, of_target=True),
            Noise(sigma=(1.0, 25.0), poisson_share=0.5, poisson=(0.05, 2.5)),
            AnyOrder(steps=(_FitThenSinc(), _JPEG_OR_WEBP)),
        ),
    ),
    "video": Degradation(
        "frames of a compressed video: soft focus, little noise, H.264 or MPEG-4",
        (
            FitTarget(),
            Blur(probability=0.5, sigma=(0.2, 1.5), anisotropic=0.2),
            Noise(probability=0.5, sigma=(0.0, 8.0)),
            CompressVideo(),
        ),
    ),
}
