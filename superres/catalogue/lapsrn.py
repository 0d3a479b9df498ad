"""LapSRN and MS-LapSRN."""

from functools import partial

from superres.catalogue.publishers import RAW
from superres.model_spec import NetworkSpec, RowStreaming, Speed, Weights
from superres.networks.lapsrn import LapSRNNetwork, MSLapSRNNetwork
from superres.networks.luma_chroma import LumaUpscaler, ReducedNetwork, wrap_keys
from superres.networks.streaming.lapsrn import make_lapsrn_stages

_LAPSRN = "phoenix104104/LapSRN"
_LAPSRN_COMMIT = "95154bba82a3aab9bdaec8e0eedd4187babc5ed2"


# Bytes and SHA-256 by file.
_FILES = {
    "LapSRN_x2": (1518234, "e368225004e2d5e49d772c5c4eb16c3f28f7fe3b68fec7a9bb91f55e25602baa"),
    "LapSRN_x4": (3032853, "1d845a3efdca8848968df9e216931419e3b1122373a233d612b4f599985e6367"),
    "LapSRN_x8": (2486279, "a887221465fe22ebda8ad5963cf812db807e7a9aa8e9d9453aee60e237af5e10"),
    "MSLapSRN_D5R2": (920148, "4b214952ef911a2ff95354c0669f3e0766bc6c5decbfca7ddb39834f3998da11"),
    "MSLapSRN_D5R5": (933421, "149e78a5d7ab1024b3947b46d2b26c86759aa90b261be222cc75c60cf384b25c"),
    "MSLapSRN_D5R8": (987015, "96dbabe91e964a83b545dbd98580586c5ae312b4f7294ea10519100d0dd1d52d"),
}

_LAPSRN_STREAMING = {
    2: RowStreaming(
        stages=make_lapsrn_stages, bytes_per_column=7_800, step_bytes=2_500, step_pixels=12_000
    ),
    4: RowStreaming(
        stages=make_lapsrn_stages, bytes_per_column=24_500, step_bytes=10_000, step_pixels=6_000
    ),
    8: RowStreaming(
        stages=make_lapsrn_stages,
        bytes_per_column=46_500,
        step_bytes=40_000,
        step_pixels=2_000,
        min_pixels=4_000,
    ),
}


def _describe_file(name: str) -> Weights:
    """Return a MatConvNet file of LapSRN's authors, who state no licence for it."""
    url = f"{RAW}/{_LAPSRN}/{_LAPSRN_COMMIT}/pretrained_models/{name}.mat"
    origin = f"https://github.com/{_LAPSRN}"
    size, sha256 = _FILES[name]
    return Weights(f"{name}.mat", "none stated", origin, url, sha256, size)


def _build_lapsrn(scale: int, depth: int) -> LumaUpscaler:
    """LapSRN on luma, bicubic on chroma."""
    return LumaUpscaler(LapSRNNetwork(scale, depth))


def _build_lapsrn_x3() -> LumaUpscaler:
    """Build x3 as the authors make it: the x4 network, then a bicubic reduction."""
    return LumaUpscaler(ReducedNetwork(LapSRNNetwork(4, 10), 3))


def _build_ms_lapsrn(scale: int, recursions: int) -> LumaUpscaler:
    """MS-LapSRN on luma: one set of weights for every scale."""
    return LumaUpscaler(MSLapSRNNetwork(scale, 5, recursions))


def _describe_lapsrn(
    scale: int, file: str, overlap: int, bytes_per_pixel: int, seconds: float
) -> NetworkSpec:
    """Return a row for LapSRN; depth 10, at x8 5."""
    return NetworkSpec(
        name=f"lapsrn.x{scale}",
        system="lapsrn",
        scale=scale,
        build=_build_lapsrn_x3
        if scale == 3
        else partial(_build_lapsrn, scale, 5 if scale == 8 else 10),
        weights=(_describe_file(file),),
        description="clean photos; the classic of progressive upscaling",
        speed=Speed.MEDIUM,
        overlap=overlap,
        seconds_per_megapixel=seconds,
        bytes_per_pixel=bytes_per_pixel,
        stream=_LAPSRN_STREAMING.get(scale),
        convert=partial(wrap_keys, wrappers=2) if scale == 3 else wrap_keys,
    )


def _describe_ms_lapsrn(
    recursions: int, scale: int, overlap: int, bytes_per_pixel: int, seconds: float
) -> NetworkSpec:
    """Return a row for MS-LapSRN."""
    return NetworkSpec(
        name=f"lapsrn.ms-d5r{recursions}-x{scale}",
        system="lapsrn",
        scale=scale,
        build=partial(_build_ms_lapsrn, scale, recursions),
        weights=(_describe_file(f"MSLapSRN_D5R{recursions}"),),
        description="as LapSRN with a quarter of its weights, one file for every scale",
        speed=Speed.MEDIUM,
        overlap=overlap,
        seconds_per_megapixel=seconds,
        bytes_per_pixel=bytes_per_pixel,
        convert=wrap_keys,
    )


ROWS = (
    _describe_lapsrn(4, "LapSRN_x4", 17, 8_200, 13.6),
    _describe_lapsrn(2, "LapSRN_x2", 12, 2_200, 2.67),
    _describe_lapsrn(8, "LapSRN_x8", 11, 21_700, 44.2),
    _describe_lapsrn(3, "LapSRN_x4", 18, 8_400, 13.5),
    _describe_ms_lapsrn(2, 2, 12, 2_300, 2.61),
    _describe_ms_lapsrn(2, 4, 17, 8_400, 13.6),
    _describe_ms_lapsrn(2, 8, 20, 22_000, 68),
    _describe_ms_lapsrn(5, 4, 40, 8_400, 28.1),
    _describe_ms_lapsrn(8, 4, 62, 8_400, 42.6),
)
