"""Swin2SR."""

from collections.abc import Callable
from functools import partial

from torch import nn

from superres.catalogue.window_transformers import (
    CLASSICAL,
    LIGHTWEIGHT,
    REAL_PSNR,
    describe_window_transformer,
)
from superres.model_spec import NetworkSpec, Weights
from superres.networks.swin2sr import (
    build_classical,
    build_compressed,
    build_lightweight,
    build_real,
    convert_release,
)

_SWIN2SR = "https://github.com/mv-lab/swin2sr"


def _describe_swin2sr(
    name: str,
    scale: int,
    build: Callable[[], nn.Module],
    file: str,
    bytes_per_pixel: int,
    seconds: float,
    description: str,
) -> NetworkSpec:
    """Return the row of one file of Swin2SR's release v0.0.1; the publisher gives no hashes."""
    url = f"{_SWIN2SR}/releases/download/v0.0.1/{file}"
    weights = Weights(file, "Apache-2.0", _SWIN2SR, url)
    return describe_window_transformer(
        f"swin2sr.{name}",
        scale,
        build,
        weights,
        bytes_per_pixel,
        seconds,
        description,
        convert_release,
    )


ROWS = (
    _describe_swin2sr(
        "real-x4",
        4,
        build_real,
        "Swin2SR_RealworldSR_X4_64_BSRGAN_PSNR.pth",
        11_900,
        133,
        REAL_PSNR,
    ),
    _describe_swin2sr(
        "classical-x2",
        2,
        partial(build_classical, 2),
        "Swin2SR_ClassicalSR_X2_64.pth",
        5_000,
        141,
        CLASSICAL,
    ),
    _describe_swin2sr(
        "classical-x4",
        4,
        partial(build_classical, 4),
        "Swin2SR_ClassicalSR_X4_64.pth",
        12_300,
        126,
        CLASSICAL,
    ),
    _describe_swin2sr(
        "lightweight-x2",
        2,
        build_lightweight,
        "Swin2SR_Lightweight_X2_64.pth",
        1_600,
        65.5,
        LIGHTWEIGHT,
    ),
    _describe_swin2sr(
        "compressed-x4",
        4,
        build_compressed,
        "Swin2SR_CompressedSR_X4_48.pth",
        14_700,
        127,
        "photos with JPEG traces",
    ),
)
