"""LapSRN and MS-LapSRN."""

from functools import partial

from superres.catalogue.publishers import RAW
from superres.model_spec import NetworkSpec, RowStreaming, Speed, Weights
from superres.networks.lapsrn import LapSRNNetwork, MSLapSRNNetwork
from superres.networks.luma_chroma import LumaUpscaler, ReducedNetwork, wrap_keys
from superres.networks.streaming.lapsrn import make_lapsrn_stages

_LAPSRN = "phoenix104104/LapSRN"
_LAPSRN_COMMIT = "95154bba82a3aab9bdaec8e0eedd4187babc5ed2"


def describe_file(name: str, size: int, sha256: str) -> Weights:
    """Return a MatConvNet file of LapSRN's authors, who state no licence for it."""
    url = f"{RAW}/{_LAPSRN}/{_LAPSRN_COMMIT}/pretrained_models/{name}.mat"
    return Weights(f"{name}.mat", "none stated", f"https://github.com/{_LAPSRN}", url, sha256, size)


_LAPSRN_X2 = describe_file(
    "LapSRN_x2", 1518234, "e368225004e2d5e49d772c5c4eb16c3f28f7fe3b68fec7a9bb91f55e25602baa"
)
_LAPSRN_X4 = describe_file(
    "LapSRN_x4", 3032853, "1d845a3efdca8848968df9e216931419e3b1122373a233d612b4f599985e6367"
)
_LAPSRN_X8 = describe_file(
    "LapSRN_x8", 2486279, "a887221465fe22ebda8ad5963cf812db807e7a9aa8e9d9453aee60e237af5e10"
)
_MS_FILES = {
    2: describe_file(
        "MSLapSRN_D5R2", 920148, "4b214952ef911a2ff95354c0669f3e0766bc6c5decbfca7ddb39834f3998da11"
    ),
    5: describe_file(
        "MSLapSRN_D5R5", 933421, "149e78a5d7ab1024b3947b46d2b26c86759aa90b261be222cc75c60cf384b25c"
    ),
    8: describe_file(
        "MSLapSRN_D5R8", 987015, "96dbabe91e964a83b545dbd98580586c5ae312b4f7294ea10519100d0dd1d52d"
    ),
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
    scale: int, weights: Weights, overlap: int, bytes_per_pixel: int, seconds: float
) -> NetworkSpec:
    """Return a row for LapSRN; depth 10, at x8 5."""
    return NetworkSpec(
        name=f"lapsrn.x{scale}",
        system="lapsrn",
        scale=scale,
        build=_build_lapsrn_x3
        if scale == 3
        else partial(_build_lapsrn, scale, 5 if scale == 8 else 10),
        weights=(weights,),
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
        weights=(_MS_FILES[recursions],),
        description="as LapSRN with a quarter of its weights, one file for every scale",
        speed=Speed.MEDIUM,
        overlap=overlap,
        seconds_per_megapixel=seconds,
        bytes_per_pixel=bytes_per_pixel,
        convert=wrap_keys,
    )


ROWS = (
    _describe_lapsrn(4, _LAPSRN_X4, 17, 8_200, 13.6),
    _describe_lapsrn(2, _LAPSRN_X2, 12, 2_200, 2.67),
    _describe_lapsrn(8, _LAPSRN_X8, 11, 21_700, 44.2),
    _describe_lapsrn(3, _LAPSRN_X4, 18, 8_400, 13.5),
    _describe_ms_lapsrn(2, 2, 12, 2_300, 2.61),
    _describe_ms_lapsrn(2, 4, 17, 8_400, 13.6),
    _describe_ms_lapsrn(2, 8, 20, 22_000, 68),
    _describe_ms_lapsrn(5, 4, 40, 8_400, 28.1),
    _describe_ms_lapsrn(8, 4, 62, 8_400, 42.6),
)
