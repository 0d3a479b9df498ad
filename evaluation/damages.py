"""What happens to small images before anyone enlarges them: nothing, noise, JPEG."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image as PillowImage

from evaluation.protocol import Pixels

__all__ = ["DAMAGES"]

_NOISE_LEVELS = 10
_JPEG_QUALITY = 40


def _keep(pixels: Pixels, _seed: int) -> Pixels:
    return pixels


def _add_noise(pixels: Pixels, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, _NOISE_LEVELS, pixels.shape)
    return np.rint(pixels + noise).clip(0, 255).astype(np.uint8)


def _compress(pixels: Pixels, _seed: int) -> Pixels:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return np.asarray(PillowImage.open(stream).convert("RGB"))


DAMAGES: Mapping[str, Callable[[Pixels, int], Pixels]] = MappingProxyType(
    {"clean": _keep, f"noise {_NOISE_LEVELS}": _add_noise, f"JPEG {_JPEG_QUALITY}": _compress}
)
"""Damages of (h, w, 3) 8-bit RGB by name: a function of the pixels and a seed."""
