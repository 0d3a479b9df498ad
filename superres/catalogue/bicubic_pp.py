"""Bicubic++: weights of our own training, and the authors'."""

from functools import partial

from superres.catalogue.publishers import RAW
from superres.model_spec import NetworkSpec, SizeRequirements, Speed, Weights
from superres.networks.bicubic_pp import BicubicPPNetwork

# Bicubic++ is bound by memory: tiles of this size halve its time at 1280x720.
_CACHE = 32 * 2**20
BICUBIC_PP = "aselsan-research-imaging-team/bicubic-plusplus"
_BICUBIC_PP_COMMIT = "52084c8d016f5e8a5cd62c050e47536a0d022177"


def _describe_embedded(scale: int, size: int, sha256: str) -> Weights:
    """Return a file of superres/assets, trained by training/."""
    file = f"bicubic_pp_flat_x{scale}.safetensors"
    return Weights(file, "Apache-2.0", "superres/assets", None, sha256, size)


EMBEDDED = {
    2: _describe_embedded(
        2, 132808, "6df18f455d4d250c28433ff04a4ac568a2dd1350ef992801816f7704ef6b3a94"
    ),
    3: _describe_embedded(
        3, 201928, "ea0ab59593b73e9b69d15d556d80a179c89995e26f7a6aca4cf33587e45b0fc1"
    ),
    4: _describe_embedded(
        4, 298696, "3b1acc817a1fb02fb81450eb904d1a23173ac5eca39a944744fb7f8c8e8a3d57"
    ),
}


ROWS = (
    *(
        NetworkSpec(
            name=f"bicubic_pp.x{scale}",
            system="bicubic_pp",
            scale=scale,
            build=partial(BicubicPPNetwork, scale),
            weights=(EMBEDDED[scale],),
            description="clean photos, fast; keeps flat colours exactly",
            speed=Speed.FAST,
            overlap=8,
            input_size=SizeRequirements(multiple_of=2),
            border_mode="replicate",
            seconds_per_megapixel=seconds,
            bytes_per_pixel=bytes_per_pixel,
            cpu_bytes=_CACHE,
        )
        for scale, seconds, bytes_per_pixel in ((3, 0.13, 300), (2, 0.055, 200), (4, 0.16, 470))
    ),
    NetworkSpec(
        name="bicubic_pp.official-x3",
        system="bicubic_pp",
        scale=3,
        build=partial(BicubicPPNetwork, 3),
        weights=(
            Weights(
                "bicubic_pp_x3.pth",
                "CC-BY-NC-SA-4.0",
                f"https://github.com/{BICUBIC_PP}",
                f"{RAW}/{BICUBIC_PP}/{_BICUBIC_PP_COMMIT}/pretrained/bicubic_pp_x3.pth",
                "38a0cff7927b7658c78f19df2281d0e5c3b20e948955e9dd58e9f91d13ebc7df",
                203899,
            ),
        ),
        description="the authors' weights, for comparison",
        speed=Speed.FAST,
        overlap=8,
        input_size=SizeRequirements(multiple_of=2),
        seconds_per_megapixel=0.13,
        bytes_per_pixel=300,
        cpu_bytes=_CACHE,
    ),
)
