"""Compact networks that keep the size, for the steps of restoration; trained by training/."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from superres.model_spec import NetworkSpec, RowStreaming, Speed, Weights
from superres.networks.realesrgan import build_srvgg
from superres.networks.streaming.srvgg import make_srvgg_stages

__all__ = ["RESTORERS"]

_CONVOLUTIONS, _FEATURES = 8, 48


def _describe(step: str, description: str, size: int, sha256: str) -> NetworkSpec:
    file = f"compact_{step}_x1.safetensors"
    return NetworkSpec(
        name=f"compact.{step}-x1",
        system="compact",
        scale=1,
        build=partial(build_srvgg, _CONVOLUTIONS, 1, _FEATURES),
        weights=(Weights(file, "Apache-2.0", "superres/assets", None, sha256, size),),
        description=description,
        speed=Speed.FAST,
        overlap=_CONVOLUTIONS + 2,
        seconds_per_megapixel=1.1,
        bytes_per_pixel=450,
        stream=RowStreaming(
            stages=make_srvgg_stages, bytes_per_column=4_000, step_bytes=975, min_pixels=120_000
        ),
    )


RESTORERS: Mapping[str, NetworkSpec] = MappingProxyType(
    {
        "deblock": _describe(
            "deblock",
            "removes traces of JPEG, keeps the size",
            340934,
            "b99f227e28db3b7a9ee41e2dfc072c2e2ffc4d63784f59a0e3e3ca2cbd006562",
        ),
        "denoise": _describe(
            "denoise",
            "removes noise, keeps the size",
            340934,
            "5d37921ce1c0301bdd0c622c8d01fadb8c94fcb43de3b32de91168c0a15f7989",
        ),
    }
)
"""The network of a step, by its name in contract.restoration.STEPS."""
