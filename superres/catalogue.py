"""The table of models: each row is a promise that tests/superres/test_catalogue.py checks."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from superres.errors import BadOption
from superres.model import ModelSpec, Speed, Weights
from superres.networks import realesrgan
from superres.networks.bicubic_pp import BicubicPlusPlus
from superres.networks.dipnet import MINIMUM as DIPNET_MINIMUM
from superres.networks.dipnet import DIPNet
from superres.networks.lanczos import Lanczos

REALESRGAN = "https://github.com/xinntao/Real-ESRGAN"
BICUBIC_PP = "https://github.com/aselsan-research-imaging-team/bicubic-plusplus"
DIPNET = "https://github.com/xiumu00/DIPNet"


def realesrgan_file(tag: str, file: str, size: int, sha256: str) -> Weights:
    """A file of Real-ESRGAN's releases (models listed as BSD-3-Clause by OpenModelDB)."""
    url = f"{REALESRGAN}/releases/download/{tag}/{file}"
    return Weights(file, "BSD-3-Clause", REALESRGAN, url, sha256, size)


def embedded(file: str) -> Weights:
    """A file of superres/assets, trained by training/."""
    return Weights(file, "Apache-2.0", "superres/assets")


GENERAL = realesrgan_file(
    "v0.2.5.0",
    "realesr-general-x4v3.pth",
    4885111,
    "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
)
GENERAL_WEAK_DENOISE = realesrgan_file(
    "v0.2.5.0",
    "realesr-general-wdn-x4v3.pth",
    4885111,
    "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
)

ROWS = (
    *(
        ModelSpec(
            name=f"lanczos.x{scale}",
            system="lanczos",
            scale=scale,
            build=partial(Lanczos, scale),
            weights=(),
            good_at="the baseline to compare with; learns nothing, invents nothing",
            speed=Speed.FAST,
            overlap=3,
            bytes_per_pixel=70 * scale * scale,
        )
        for scale in (2, 3, 4)
    ),
    *(
        ModelSpec(
            name=f"bicubic_pp.x{scale}",
            system="bicubic_pp",
            scale=scale,
            build=partial(BicubicPlusPlus, scale),
            weights=(embedded(f"bicubic_pp_x{scale}.safetensors"),),
            good_at="clean photos, fast; keeps flat colours exactly",
            speed=Speed.FAST,
            overlap=8,
            multiple_of=2,
            rim="replicate",
            bytes_per_pixel=bytes_per_pixel,
        )
        for scale, bytes_per_pixel in ((3, 300), (2, 200), (4, 470))
    ),
    ModelSpec(
        name="bicubic_pp.official-x3",
        system="bicubic_pp",
        scale=3,
        build=partial(BicubicPlusPlus, 3),
        weights=(
            Weights(
                "bicubic_pp_x3.pth",
                "CC-BY-NC-SA-4.0",
                BICUBIC_PP,
                "https://raw.githubusercontent.com/aselsan-research-imaging-team/"
                "bicubic-plusplus/main/pretrained/bicubic_pp_x3.pth",
                "38a0cff7927b7658c78f19df2281d0e5c3b20e948955e9dd58e9f91d13ebc7df",
                203899,
            ),
        ),
        good_at="the authors' weights, for comparison",
        speed=Speed.FAST,
        overlap=8,
        multiple_of=2,
        bytes_per_pixel=300,
    ),
    ModelSpec(
        name="dipnet.x4",
        system="dipnet",
        scale=4,
        build=DIPNet,
        weights=(
            Weights(
                "DIPNet.pth",
                "MIT",
                DIPNET,
                "https://raw.githubusercontent.com/xiumu00/DIPNet/main/model_zoo/DIPNet.pth",
                "7495450802b78cd15f4892851b2479de6605b24f1df1dbbfcaa5227201d61cc1",
                991924,
            ),
        ),
        good_at="clean photos at four times the size, little time",
        speed=Speed.FAST,
        overlap=16,
        minimum=DIPNET_MINIMUM,
        whole=True,
        bytes_per_pixel=1350,
    ),
    ModelSpec(
        name="realesrgan.x4plus",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.rrdb, 4),
        weights=(
            realesrgan_file(
                "v0.1.0",
                "RealESRGAN_x4plus.pth",
                67040989,
                "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            ),
        ),
        good_at="degraded photos: removes blur, noise and JPEG traces, invents texture",
        speed=Speed.SLOW,
        overlap=64,
        bytes_per_pixel=10_500,
        options=("face_enhance",),
    ),
    ModelSpec(
        name="realesrgan.net-x4plus",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.rrdb, 4),
        weights=(
            realesrgan_file(
                "v0.1.1",
                "RealESRNet_x4plus.pth",
                67040989,
                "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df",
            ),
        ),
        good_at="as x4plus, smoother and without invented texture",
        speed=Speed.SLOW,
        overlap=64,
        bytes_per_pixel=10_500,
        options=("face_enhance",),
    ),
    ModelSpec(
        name="realesrgan.x2plus",
        system="realesrgan",
        scale=2,
        build=partial(realesrgan.rrdb, 2),
        weights=(
            realesrgan_file(
                "v0.2.1",
                "RealESRGAN_x2plus.pth",
                67061725,
                "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
            ),
        ),
        good_at="degraded photos at twice the size, a quarter of x4plus's cost",
        speed=Speed.MEDIUM,
        overlap=128,
        multiple_of=2,
        bytes_per_pixel=2_600,
        options=("face_enhance",),
    ),
    ModelSpec(
        name="realesrgan.anime-x4",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.rrdb, 4, 6),
        weights=(
            realesrgan_file(
                "v0.2.2.4",
                "RealESRGAN_x4plus_anime_6B.pth",
                17938799,
                "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
            ),
        ),
        good_at="drawings and anime stills",
        speed=Speed.MEDIUM,
        overlap=64,
        bytes_per_pixel=10_500,
    ),
    ModelSpec(
        name="realesrgan.animevideo-x4",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.srvgg, 16),
        weights=(
            realesrgan_file(
                "v0.2.5.0",
                "realesr-animevideov3.pth",
                2504012,
                "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
            ),
        ),
        good_at="anime video frames",
        speed=Speed.FAST,
        overlap=18,
        bytes_per_pixel=1_050,
    ),
    ModelSpec(
        name="realesrgan.general-x4",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.srvgg, 32),
        weights=(GENERAL, GENERAL_WEAK_DENOISE),
        good_at="degraded photos, small and quick, with adjustable denoising",
        speed=Speed.MEDIUM,
        overlap=34,
        bytes_per_pixel=1_050,
        options=("denoise_strength", "face_enhance"),
    ),
)

CATALOGUE: Mapping[str, ModelSpec] = MappingProxyType({row.name: row for row in ROWS})


def model_named(name: str, among: Mapping[str, ModelSpec] = CATALOGUE) -> ModelSpec:
    """The model called `name`. Raises BadOption that lists the names there are."""
    if name not in among:
        raise BadOption("model", name, f"one of {', '.join(among)}", code="MODEL")
    return among[name]
