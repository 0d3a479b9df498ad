"""Source images in memory, and random patches of them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.protocol import Pixels, list_images, read_rgb

MAX_SIDE = 2048  # pixels; larger images are reduced: their finest level is rarely sharp
Floats = NDArray[np.float32]


class ImageSet:
    """The images of some folders; each is drawn by the square root of its area."""

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = [path for folder in folders for path in list_images(folder)]
        if not paths:
            raise FileNotFoundError(f"no .png, .jpg, .bmp or .webp in {[str(f) for f in folders]}")
        self._images = [_reduce(read_rgb(path)) for path in paths]
        sides = np.sqrt([image.shape[0] * image.shape[1] for image in self._images])
        self._shares = sides / sides.sum()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def draw_patch(self, size: int, reduction: float, draw: np.random.Generator) -> Floats:
        """Draw a square patch, flipped and turned at random.

        Args:
            size: Of the patch, in pixels.
            reduction: By how much the image is reduced first; less than 1 enlarges it.
            draw: Source of everything random.

        Returns:
            (size, size, 3) float32 RGB in 0..1.
        """
        image = self._images[int(draw.choice(len(self._images), p=self._shares))]
        side = min(round(size * reduction), *image.shape[:2])
        y, x = (int(draw.integers(length - side + 1)) for length in image.shape[:2])
        cut = image[y : y + side, x : x + side].astype(np.float32) / 255
        filter_ = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
        patch = cut if side == size else cv2.resize(cut, (size, size), interpolation=filter_)
        patch = np.rot90(patch, int(draw.integers(4)))
        patch = patch[:, ::-1] if draw.random() < 0.5 else patch
        return np.ascontiguousarray(np.clip(patch, 0, 1))


def draw_flat(size: int, draw: np.random.Generator) -> Floats:
    """Draw a patch of one colour, or of a linear gradient between two colours close together.

    Args:
        size: Of the patch, in pixels.
        draw: Source of everything random.

    Returns:
        (size, size, 3) float32 RGB in 0..1.
    """
    first = draw.random(3)
    second = first if draw.random() < 0.5 else np.clip(first + draw.uniform(-0.2, 0.2, 3), 0, 1)
    angle = draw.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    position = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
    return (first * (1 - position) + second * position).astype(np.float32)


def _reduce(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    factor = MAX_SIDE / max(height, width)
    if factor >= 1:
        return image
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
