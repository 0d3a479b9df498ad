"""What the rows of SwinIR and Swin2SR share."""

from collections.abc import Callable

from torch import nn

from superres.model_spec import NetworkSpec, Speed, StateDict, Weights

WINDOW = 8
OVERLAP = 32  # four windows: measured bounds are in docs/performance.md

_CPU_BYTES = 2**30  # overlaps of four windows are dear: larger tiles waste less

CLASSICAL = "clean photos, highest fidelity"
LIGHTWEIGHT = "clean photos, a tenth of the classical model's cost"
REAL_GAN = "degraded photos, sharp, invents texture"
REAL_PSNR = "degraded photos, smooth, invents nothing"


def describe_window_transformer(
    name: str,
    scale: int,
    build: Callable[[], nn.Module],
    weights: Weights,
    bytes_per_pixel: int,
    seconds: float,
    description: str,
    convert: Callable[[StateDict], StateDict] | None = None,
) -> NetworkSpec:
    """Return the row of a window transformer; `seconds` are per megapixel of input."""
    return NetworkSpec(
        name=name,
        system=name.partition(".")[0],
        scale=scale,
        build=build,
        weights=(weights,),
        description=description,
        speed=Speed.MEDIUM if description == LIGHTWEIGHT else Speed.SLOW,
        overlap=OVERLAP,
        align=WINDOW,
        cpu_bytes=_CPU_BYTES,
        seconds_per_megapixel=seconds,
        bytes_per_pixel=bytes_per_pixel,
        convert=convert,
    )
