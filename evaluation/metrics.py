"""Measures of how images look, each from the library that defines or keeps it.

PSNR and SSIM are those of protocol.py. SSIMULACRA2, FLIP and LPIPS are perceptual; they need
packages that only a comparison needs (requirements-compare.txt) and are left out where those, or
LPIPS's weights, are absent. NIQE needs no reference; basicsr brings its parameters.

No single one of them orders models as people do: those of fidelity put interpolation before a GAN
whose detail is invented, NIQE takes noise that was kept for detail. The score is both, 100 SSIM -
1.5 NIQE: fidelity and naturalness, as the PIRM challenge of 2018 judges by a perceptual index under
a bound on distortion. It is for photos; NIQE knows nothing of text and drawings.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PillowImage

from evaluation.protocol import Pixels, psnr, ssim

__all__ = ["METRICS", "Metric", "compute_niqe", "list_metrics"]

_MIN_NIQE_SIDE = 192  # two blocks of 96 pixels each way, as NIQE compares blocks
_BLOCKS_CROP = 4  # pixels of the border that NIQE does not see
_NIQE_WEIGHT = 1.5  # of NIQE in the score: one of it is worth 0.015 of SSIM


Measures = Mapping[str, float | None]
"""Values by the metric's name."""


class Metric(NamedTuple):
    """A measure of an image (h, w, 3) of 8-bit RGB, beside its reference and with a shave.

    Functions return None where the image is too small for it.
    """

    label: str
    unit: str
    higher_is_better: bool
    compute: Callable[[Pixels, Pixels, int], float | None] | None
    packages: tuple[str, ...] = ()
    derive: Callable[[Measures], float | None] | None = None  # from others, in place of `compute`

    @property
    def is_available(self) -> bool:
        """Whether the packages it needs are installed."""
        return all(importlib.util.find_spec(name) for name in self.packages)


def _shave(pixels: Pixels, shave: int) -> Pixels:
    inner = slice(shave, -shave or None)
    return np.ascontiguousarray(pixels[inner, inner])


def _compute_ssimulacra2(result: Pixels, reference: Pixels, shave: int) -> float:
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(*(_write_bmp(_shave(p, shave)) for p in (reference, result))))


def _write_bmp(pixels: Pixels) -> BytesIO:
    """Return the file that ssimulacra2 wants in place of pixels."""
    stream = BytesIO()
    PillowImage.fromarray(pixels).save(stream, "BMP")
    stream.seek(0)
    return stream


def _compute_flip(result: Pixels, reference: Pixels, shave: int) -> float:
    from flip_evaluator import evaluate

    images = (_shave(p, shave).astype(np.float32) / 255 for p in (reference, result))
    return float(evaluate(*images, "LDR", applyMagma=False)[1])


def _compute_lpips(result: Pixels, reference: Pixels, shave: int) -> float:
    import torch

    images = (
        torch.from_numpy(_shave(p, shave)).permute(2, 0, 1)[None].float() / 127.5 - 1
        for p in (result, reference)
    )
    with torch.inference_mode():
        return float(_load_lpips()(*images))


@cache
def _load_lpips() -> Any:
    """Return LPIPS on AlexNet, whose weights lie in the folder of torch.hub."""
    from superres.networks.torchvision_compat import repair_torchvision

    repair_torchvision()
    from lpips import LPIPS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arguments that torchvision has renamed
        return LPIPS(net="alex", verbose=False).eval()


class _Lpips(Metric):
    """LPIPS, which also needs weights that are not in its package."""

    @property
    def is_available(self) -> bool:
        """Whether its package is installed and AlexNet's weights are there: none are fetched."""
        default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
        folder = Path(os.environ.get("TORCH_HOME", default)).expanduser() / "hub/checkpoints"
        return bool(importlib.util.find_spec("lpips")) and any(folder.glob("alexnet-*.pth"))


def compute_niqe(pixels: Pixels) -> float | None:
    """Compute NIQE of luma as basicsr does, with its parameters; lower is better.

    Args:
        pixels: (h, w, 3), 8-bit RGB.

    Returns:
        The distance to natural images, None for an image below 192 pixels a side.
    """
    if min(pixels.shape[:2]) - 2 * _BLOCKS_CROP < _MIN_NIQE_SIDE:
        return None
    from superres.networks.torchvision_compat import repair_torchvision

    repair_torchvision()
    from basicsr.metrics.niqe import calculate_niqe

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = calculate_niqe(pixels[..., ::-1], crop_border=_BLOCKS_CROP, convert_to="y")
    return float(np.squeeze(value))


def _derive_score(measures: Measures) -> float | None:
    similarity, distance = measures.get("ssim"), measures.get("niqe")
    if similarity is None or distance is None:
        return None
    return 100 * similarity - _NIQE_WEIGHT * distance


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "psnr": Metric("PSNR", "dB", True, psnr),
        "ssim": Metric("SSIM", "", True, ssim),
        "ssimulacra2": Metric("SSIMULACRA2", "", True, _compute_ssimulacra2, ("ssimulacra2",)),
        "flip": Metric("FLIP", "", False, _compute_flip, ("flip_evaluator",)),
        "lpips": _Lpips("LPIPS", "", False, _compute_lpips, ("lpips",)),
        "niqe": Metric("NIQE", "", False, lambda result, _hr, _shave: compute_niqe(result)),
        "score": Metric("score", "", True, None, (), _derive_score),
    }
)
"""By name, in the order of the report."""


def list_metrics() -> list[str]:
    """Return the names of the measures whose packages and weights are here."""
    return [name for name, metric in METRICS.items() if metric.is_available]
