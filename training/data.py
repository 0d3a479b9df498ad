"""Training pairs: HR images at several sizes with their bicubic LR, cut into patches."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluation.protocol import Pixels, bicubic, crop_to_multiple, list_images, read_rgb


class Pair(NamedTuple):
    """LR (h, w, 3) and its HR (scale·h, scale·w, 3), 8-bit RGB."""

    lr: Pixels
    hr: Pixels


def pairs(folders: list[Path], scale: int, reductions: tuple[float, ...], least: int) -> list[Pair]:
    """Return every image at every reduction whose LR is at least `least` pixels a side.

    The reductions are LapSRN's scale augmentation (Lai et al. 2017, section 4.1).
    """
    made = []
    for path in (p for folder in folders for p in list_images(folder)):
        original = read_rgb(path)
        for reduction in reductions:
            height, width = (round(side * reduction) for side in original.shape[:2])
            hr = original if reduction == 1 else bicubic(original, width, height)
            hr = crop_to_multiple(hr, scale)
            if min(hr.shape[:2]) >= least * scale:
                made.append(Pair(bicubic(hr, hr.shape[1] // scale, hr.shape[0] // scale), hr))
    return made


def batches(
    made: list[Pair], scale: int, patch: int, size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of `size` LR patches (n, 3, patch, patch) and HR patches, 0..1 floats.

    Images are drawn by area, patches and the eight flips and turns uniformly.
    """
    draw = np.random.default_rng(seed)
    areas = np.array([pair.lr.shape[0] * pair.lr.shape[1] for pair in made], dtype=np.float64)
    areas /= areas.sum()
    while True:
        chosen = [cut(made[i], scale, patch, draw) for i in draw.choice(len(made), size, p=areas)]
        lr = np.stack([pair.lr for pair in chosen])
        hr = np.stack([pair.hr for pair in chosen])
        yield as_tensor(lr), as_tensor(hr)


def cut(pair: Pair, scale: int, patch: int, draw: np.random.Generator) -> Pair:
    """Return one random patch of `pair`, flipped and turned at random."""
    y, x = (int(draw.integers(side - patch + 1)) for side in pair.lr.shape[:2])
    lr = pair.lr[y : y + patch, x : x + patch]
    hr = pair.hr[y * scale : (y + patch) * scale, x * scale : (x + patch) * scale]
    turns, flip = int(draw.integers(4)), bool(draw.integers(2))
    lr, hr = np.rot90(lr, turns), np.rot90(hr, turns)
    return Pair(lr[:, ::-1], hr[:, ::-1]) if flip else Pair(lr, hr)


def as_tensor(pixels: Pixels) -> Tensor:
    """Return (n, h, w, 3) bytes as (n, 3, h, w) floats 0..1 in channels-last memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div_(255)
