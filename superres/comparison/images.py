"""The images of a comparison: files, photos that scikit-image brings, and generated ones."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from evaluation.generated_images import draw_shapes, draw_text
from evaluation.protocol import Pixels, list_images, read_rgb
from superres.errors import BadOption

__all__ = ["BUILT_IN", "ImageSource", "choose_crop", "fingerprint", "list_sets"]

_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # in the public domain or CC0
_GENERATED = {"text": draw_text, "drawing": draw_shapes}


class ImageSource(NamedTuple):
    """An image by name: a file, or one that needs none."""

    name: str
    path: Path | None = None

    def read(self) -> Pixels:
        """Return its pixels (h, w, 3), 8-bit RGB. Raises BadOption for what is no image."""
        if self.path is not None:
            try:
                return read_rgb(self.path)
            except (OSError, ValueError, PillowImage.DecompressionBombError) as error:
                raise BadOption("IMAGE", str(self.path), f"an image file: {error}") from error
        kind, _, number = self.name.partition("-")
        if kind in _GENERATED:
            return _GENERATED[kind](int(number))
        from skimage import data

        pixels: Pixels = getattr(data, self.name)()
        return pixels


BUILT_IN: Mapping[str, tuple[ImageSource, ...]] = MappingProxyType(
    {
        "photos": tuple(map(ImageSource, _PHOTOS)),
        "drawings": tuple(ImageSource(f"drawing-{number}") for number in range(3)),
        "text": tuple(ImageSource(f"text-{number}") for number in range(3)),
    }
)
"""Sets of originals that are there without any file."""


def list_sets(folders: Sequence[str], limit: int) -> dict[str, tuple[ImageSource, ...]]:
    """List the sets of originals: those of folders, else the built-in ones.

    Args:
        folders: Folders of images, or name=folder.
        limit: Images of each, from the first; 0 for all.

    Returns:
        Images by the name of their set.

    Raises:
        BadOption: A folder has no images.
    """
    sets = {} if folders else dict(BUILT_IN)
    for given in folders:
        name, _, folder = given.rpartition("=")
        path = Path(folder)
        if not path.is_dir() or not list_images(path):
            raise BadOption("--sets", given, "folders of PNG, JPEG, BMP or WebP images")
        sets[name or path.name] = tuple(ImageSource(p.name, p) for p in list_images(path))
    return {name: images[: limit or None] for name, images in sets.items()}


def fingerprint(pixels: Pixels) -> str:
    """Return what tells an image's pixels from others."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()[:16]


def choose_crop(pixels: Pixels, width: int, height: int) -> tuple[int, int]:
    """Choose the part of an image that has the most detail.

    Args:
        pixels: (h, w, 3), 8 bits.
        width: Of the part, in pixels, at most the image's.
        height: Of the part.

    Returns:
        Its left and top edge.
    """
    grey = pixels.mean(axis=2)
    detail = np.zeros(grey.shape)
    detail[:, 1:] += np.minimum(np.abs(np.diff(grey, axis=1)), 64)  # one hard edge is not detail
    detail[1:, :] += np.minimum(np.abs(np.diff(grey, axis=0)), 64)
    sums = np.pad(detail.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    lower, upper = sums[height:], sums[:-height]
    rows = lower - upper
    inside = rows[:, width:] - rows[:, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(left), int(top)
