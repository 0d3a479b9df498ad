"""Lanczos interpolation: the baseline."""

from functools import partial

from superres.model_spec import NetworkSpec, Speed
from superres.networks.lanczos import LanczosNetwork

ROWS = tuple(
    NetworkSpec(
        name=f"lanczos.x{scale}",
        system="lanczos",
        scale=scale,
        build=partial(LanczosNetwork, scale),
        weights=(),
        description="the baseline to compare with; learns nothing, invents nothing",
        speed=Speed.FAST,
        overlap=3,
        seconds_per_megapixel=seconds,
        bytes_per_pixel=70 * scale * scale,
    )
    for scale, seconds in ((2, 0.04), (3, 0.058), (4, 0.078))
)
