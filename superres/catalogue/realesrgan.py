"""The Real-ESRGAN family."""

from functools import partial

from superres.model import ModelSpec, Speed, Weights
from superres.networks import realesrgan

REALESRGAN = "https://github.com/xinntao/Real-ESRGAN"


def realesrgan_file(tag: str, file: str, size: int, sha256: str) -> Weights:
    """A file of Real-ESRGAN's releases (models listed as BSD-3-Clause by OpenModelDB)."""
    url = f"{REALESRGAN}/releases/download/{tag}/{file}"
    return Weights(file, "BSD-3-Clause", REALESRGAN, url, sha256, size)


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
    ModelSpec(
        name="realesrgan.x4plus",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.rrdb, 4),
        convert=realesrgan.from_numbered,
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
        convert=realesrgan.from_numbered,
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
        convert=realesrgan.from_numbered,
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
        convert=realesrgan.from_numbered,
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
