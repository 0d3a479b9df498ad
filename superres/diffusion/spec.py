"""The diffusion model's row."""

from dataclasses import dataclass, field

from contract.options import SAMPLING_OPTIONS
from superres.diffusion.files import HALF, Release
from superres.model_spec import ModelSpec, Speed

__all__ = ["SPEC", "DiffusionSpec"]


@dataclass(frozen=True, kw_only=True)
class DiffusionSpec(ModelSpec):
    """The row of a diffusion upscaler, and the publisher's release it comes from."""

    release: Release = field(default_factory=Release)


SPEC = DiffusionSpec(
    name="stable_diffusion.x4",
    system="stable_diffusion",
    scale=4,
    weights=HALF,
    description="small photos: invents detail to a prompt, a different one for every seed",
    speed=Speed.SLOW,
    overlap=16,
    seconds_per_megapixel=40_000.0,  # with 75 steps
    options=SAMPLING_OPTIONS,
)
