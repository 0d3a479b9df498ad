"""The Real-ESRGAN family."""

from functools import partial

from superres.catalogue.realesrgan_packages import HALF_COPIES
from superres.model_spec import (
    FACE_OPTIONS,
    NetworkSpec,
    RowStreaming,
    SizeRequirements,
    Speed,
    Weights,
)
from superres.networks import realesrgan
from superres.networks.streaming.rrdb import make_rrdb_stages
from superres.networks.streaming.srvgg import make_srvgg_stages

_REALESRGAN = "https://github.com/xinntao/Real-ESRGAN"
_DEGRADED = "degraded photos: removes blur, noise and JPEG traces, invents texture"
# Up to here a layer's 64 channels stay below 32 MB, beyond which the C library maps them anew.
_SRVGG_PAYS_FROM = 120_000
# Of row streaming: remembered per input pixel of width, in use per input pixel of a step.
_RRDB_BYTES = {(4, 23): (353_000, 6_500), (4, 6): (111_000, 6_500), (2, 23): (130_000, 1_700)}
# Release and file by model, and the file's bytes and SHA-256.
_FILES = {
    "x4plus": "v0.1.0/RealESRGAN_x4plus.pth",
    "net-x4plus": "v0.1.1/RealESRNet_x4plus.pth",
    "x2plus": "v0.2.1/RealESRGAN_x2plus.pth",
    "anime-x4": "v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
    "animevideo-x4": "v0.2.5.0/realesr-animevideov3.pth",
    "general-x4": "v0.2.5.0/realesr-general-x4v3.pth",
    "general-wdn-x4": "v0.2.5.0/realesr-general-wdn-x4v3.pth",
}
_HASHES = {
    "x4plus": (67040989, "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1"),
    "net-x4plus": (67040989, "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df"),
    "x2plus": (67061725, "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb"),
    "anime-x4": (17938799, "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da"),
    "animevideo-x4": (2504012, "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"),
    "general-x4": (4885111, "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292"),
    "general-wdn-x4": (4885111, "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca"),
}


def _describe_file(name: str) -> Weights:
    """Return a file of Real-ESRGAN's releases (models listed as BSD-3-Clause by OpenModelDB)."""
    url = f"{_REALESRGAN}/releases/download/{_FILES[name]}"
    file = _FILES[name].partition("/")[2]
    size, sha256 = _HASHES[name]
    return Weights(
        file, "BSD-3-Clause", _REALESRGAN, url, sha256, size, half_copy=HALF_COPIES.get(name)
    )


def _describe_rrdb(
    name: str,
    description: str,
    seconds: float,
    scale: int = 4,
    blocks: int = 23,
    photos: bool = True,
) -> NetworkSpec:
    """Return the row of an RRDB network; x2 works at half the resolution, x4 at the full one.

    Overlap 64 was measured with the x4plus weights: 0.95 of an 8-bit step.
    """
    return NetworkSpec(
        name=f"realesrgan.{name}",
        system="realesrgan",
        scale=scale,
        build=partial(realesrgan.build_rrdb, scale, blocks),
        weights=(_describe_file(name),),
        description=description,
        speed=Speed.SLOW if (scale, blocks) == (4, 23) else Speed.MEDIUM,
        overlap={4: 64, 2: 128}[scale],
        input_size=SizeRequirements(multiple_of={4: 1, 2: 2}[scale]),
        seconds_per_megapixel=seconds,
        bytes_per_pixel={4: 10_500, 2: 2_600}[scale],
        stream=RowStreaming(
            stages=make_rrdb_stages,
            bytes_per_column=_RRDB_BYTES[scale, blocks][0],
            step_bytes=_RRDB_BYTES[scale, blocks][1],
            min_pixels=14_000,
        ),
        convert=realesrgan.convert_rrdb,
        options=FACE_OPTIONS if photos else (),
    )


ROWS = (
    _describe_rrdb("x4plus", _DEGRADED, 107),
    _describe_rrdb("net-x4plus", "as x4plus, smoother and without invented texture", 107),
    _describe_rrdb(
        "x2plus", "degraded photos at twice the size, a quarter of x4plus's cost", 27, scale=2
    ),
    _describe_rrdb("anime-x4", "drawings and anime stills", 36, blocks=6, photos=False),
    NetworkSpec(
        name="realesrgan.animevideo-x4",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.build_srvgg, 16),
        weights=(_describe_file("animevideo-x4"),),
        description="anime video frames",
        speed=Speed.FAST,
        overlap=18,
        seconds_per_megapixel=3.3,
        bytes_per_pixel=1_050,
        stream=RowStreaming(
            stages=make_srvgg_stages,
            bytes_per_column=9_200,
            step_bytes=1_300,
            min_pixels=_SRVGG_PAYS_FROM,
        ),
    ),
    NetworkSpec(
        name="realesrgan.general-x4",
        system="realesrgan",
        scale=4,
        build=partial(realesrgan.build_srvgg, 32),
        weights=(_describe_file("general-x4"), _describe_file("general-wdn-x4")),
        description="degraded photos, small and quick, with adjustable denoising",
        speed=Speed.MEDIUM,
        overlap=34,
        seconds_per_megapixel=6.5,
        bytes_per_pixel=1_050,
        stream=RowStreaming(
            stages=make_srvgg_stages,
            bytes_per_column=17_600,
            step_bytes=1_300,
            min_pixels=_SRVGG_PAYS_FROM,
        ),
        options=("denoise_strength", *FACE_OPTIONS),
    ),
)
