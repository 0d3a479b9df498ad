"""A pool of training patches in memory, renewed a few at a time: targets cost more than steps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.protocol import Pixels
from superres.degradation.recipes import RECIPES
from training.images import Floats, ImageSet, draw_flat
from training.recipe import DataSettings, Share
from training.teacher import Teacher

_CHUNK = 16  # patches that the teacher takes at a time
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class PatchPool:
    """LR patches and their targets in 8 bits."""

    def __init__(
        self,
        images: ImageSet,
        teacher: Teacher | None,
        settings: DataSettings,
        scale: int,
        seed: int,
    ) -> None:
        self._images, self._teacher = images, teacher
        self._settings, self._scale = settings, scale
        self._draw = np.random.default_rng(seed)
        weights = np.array([share.weight for share in settings.shares])
        self._weights = weights / weights.sum()
        side, large = settings.patch, settings.patch * scale
        self._lr: Pixels = np.zeros((settings.pool, side, side, 3), np.uint8)
        self._target: Pixels = np.zeros((settings.pool, large, large, 3), np.uint8)
        self._oldest = 0

    def fill(self) -> None:
        """Make every patch anew."""
        for _ in range(0, len(self._lr), _CHUNK):
            self._renew(_CHUNK)

    def draw_batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Replace the oldest patches by fresh ones and draw a batch.

        Args:
            size: Patches in the batch.

        Returns:
            LR (n, 3, patch, patch) and target (n, 3, scale·patch, scale·patch), float32 RGB in
            0..1, channels last; flipped and turned at random.
        """
        self._renew(self._settings.fresh)
        chosen = self._draw.choice(len(self._lr), size, replace=False)
        turned = [_turn(self._lr[i], self._target[i], int(self._draw.integers(8))) for i in chosen]
        lr, target = (np.stack(part) for part in zip(*turned, strict=True))
        return as_tensor(lr), as_tensor(target)

    def _renew(self, count: int) -> None:
        """Replace the `count` oldest patches."""
        if not count:
            return
        made = [self._make_pair() for _ in range(count)]
        lr, target = np.stack([pair[0] for pair in made]), np.stack([pair[1] for pair in made])
        weights = np.array([pair[2].hr_weight for pair in made], np.float32)[:, None, None, None]
        if self._teacher and weights.min() < 1:
            taught = self._teacher.enlarge(as_tensor(lr), self._scale)
            taught = taught.permute(0, 2, 3, 1).numpy()
            taught = np.where(_is_grey(lr), (taught @ _LUMA)[..., None], taught)
            target = weights * target + (1 - weights) * taught
        slots = (self._oldest + np.arange(count)) % len(self._lr)
        self._lr[slots] = _to_levels(lr)
        self._target[slots] = _to_levels(target)
        self._oldest = (self._oldest + count) % len(self._lr)

    def _make_pair(self) -> tuple[Floats, Floats, Share]:
        """Return an LR patch, its HR patch and the kind they are of."""
        kind = int(self._draw.choice(len(self._weights), p=self._weights))
        share = self._settings.shares[kind]
        side = self._settings.patch
        large = side * self._scale
        if share.source == "flats":
            hr = draw_flat(large, self._draw)
        else:
            reduction = float(self._draw.uniform(*share.reduction))
            hr = self._images.draw_patch(large, reduction, self._draw)
        grey = self._draw.random() < share.grey
        hr = np.repeat((hr @ _LUMA)[..., None], 3, axis=2) if grey else hr
        lr = RECIPES[share.degradation].degrade(hr, (side, side), self._draw).image
        lr = np.repeat((lr @ _LUMA)[..., None], 3, axis=2) if grey else lr
        return lr, hr, share


def as_tensor(images: NDArray[np.generic]) -> Tensor:
    """Return images as a batch for a network.

    Args:
        images: (n, h, w, 3), uint8 or float32 in 0..1.

    Returns:
        (n, 3, h, w) float32 in 0..1, channels last.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return tensor.float().div_(255) if images.dtype == np.uint8 else tensor


def _turn(lr: Pixels, target: Pixels, which: int) -> tuple[Pixels, Pixels]:
    """Return both patches in one of the eight orientations."""
    lr, target = np.rot90(lr, which % 4), np.rot90(target, which % 4)
    return (lr[:, ::-1], target[:, ::-1]) if which > 3 else (lr, target)


def _is_grey(lr: Floats) -> NDArray[np.bool_]:
    """Return (n, 1, 1, 1): whether all colours of a patch are alike."""
    return np.ptp(lr, axis=3).max(axis=(1, 2))[:, None, None, None] < 0.5 / 255


def _to_levels(images: NDArray[np.floating]) -> Pixels:
    return np.rint(images * 255).clip(0, 255).astype(np.uint8)
