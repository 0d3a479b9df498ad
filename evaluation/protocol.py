"""How super-resolution papers measure: MATLAB's bicubic, BT.601 luma, PSNR and SSIM, rim shaved.

HR is cropped to a multiple of the scale, LR is its antialiased bicubic reduction rounded to 8 bits,
the result is rounded to 8 bits, and `scale` pixels are shaved from every side before comparing.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from superres.image.imresize import imresize

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def bicubic(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return `pixels` (h, w, c) resampled to `height` × `width` as MATLAB's `imresize` does."""
    resized = imresize(pixels, width, height)
    return np.clip(np.floor(resized + 0.5), 0, 255).astype(np.uint8)


def crop_to_multiple(pixels: Pixels, multiple: int) -> Pixels:
    """Return `pixels` without the rows and columns beyond the last multiple of `multiple`."""
    height, width = pixels.shape[:2]
    return pixels[: height - height % multiple, : width - width % multiple]


def luma(pixels: Pixels) -> Floats:
    """BT.601 studio-range luma 16..235 of 8-bit RGB, unrounded."""
    weights = np.array([65.481, 128.553, 24.966])
    return np.asarray(pixels.astype(np.float64) @ weights / 255 + 16)


def psnr(result: Pixels, reference: Pixels, shave: int) -> float:
    """Peak signal-to-noise ratio in dB between the lumas of two (h, w, 3) images."""
    inner = slice(shave, -shave or None)
    difference = (luma(result) - luma(reference))[inner, inner]
    return float(20 * np.log10(255) - 10 * np.log10(np.mean(difference**2)))


def ssim(result: Pixels, reference: Pixels, shave: int) -> float:
    """Structural similarity of the lumas, 11×11 Gaussian window of sigma 1.5 (Wang et al. 2004)."""
    from scipy.ndimage import gaussian_filter

    inner = slice(shave, -shave or None)
    a, b = luma(result)[inner, inner], luma(reference)[inner, inner]

    def blur(x: Floats) -> Floats:
        return np.asarray(gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5])

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return float(similarity.mean())


def read_rgb(path: Path) -> Pixels:
    """Return the image at `path` as (h, w, 3) 8-bit RGB."""
    with PillowImage.open(path) as image:
        return np.asarray(image.convert("RGB"))


def list_images(folder: Path) -> list[Path]:
    """Return the images in `folder`, by name."""
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in {".png", ".jpg", ".bmp", ".webp"}
    )
