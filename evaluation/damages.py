"""What happens to small images before anyone enlarges them: nothing, noise, JPEG."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image as PillowImage

from evaluation.protocol import Pixels

__all__ = ["DAMAGES", "add_noise", "compress"]

_NOISE_LEVELS = 10
_JPEG_QUALITY = 40


def _keep(pixels: Pixels, _seed: int) -> Pixels:
    return pixels


def add_noise(pixels: Pixels, seed: int, sigma: float) -> Pixels:
    """Add Gaussian noise of `sigma` 8-bit levels to (h, w, 3) pixels."""
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.rint(pixels + noise).clip(0, 255).astype(np.uint8)


def compress(pixels: Pixels, quality: int) -> Pixels:
    """Write (h, w, 3) pixels as JPEG and read them again."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(stream).convert("RGB"))


DAMAGES: Mapping[str, Callable[[Pixels, int], Pixels]] = MappingProxyType(
    {
        "clean": _keep,
        f"noise {_NOISE_LEVELS}": lambda pixels, seed: add_noise(pixels, seed, _NOISE_LEVELS),
        f"JPEG {_JPEG_QUALITY}": lambda pixels, _: compress(pixels, _JPEG_QUALITY),
    }
)
"""Damages of (h, w, 3) 8-bit RGB by name: a function of the pixels and a seed."""
