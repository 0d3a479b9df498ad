"""Compact networks for real photos, distilled by training/ and shipped in superres/assets."""

from functools import partial

from superres.model_spec import FACE_OPTIONS, NetworkSpec, RowStreaming, Speed, Weights
from superres.networks.realesrgan import build_srvgg
from superres.networks.streaming.srvgg import make_srvgg_stages

_CONVOLUTIONS = 14
_FILES = {
    4: (
        "compact_photo_x4.safetensors",
        1098552,
        "c900690d7a34f72bc65f5d8b7efa51811c5b1d53f98371b6b7226e6bcb8cfd1e",
    ),
    2: (
        "compact_photo_x2.safetensors",
        1057008,
        "b1342d0c5ce67bc5770c018b746270b0d084503646b65ef6ff69a2c6336c1b38",
    ),
}


def _describe(scale: int, seconds: float) -> NetworkSpec:
    file, size, sha256 = _FILES[scale]
    return NetworkSpec(
        name=f"compact.photo-x{scale}",
        system="compact",
        scale=scale,
        build=partial(build_srvgg, _CONVOLUTIONS, scale),
        weights=(Weights(file, "BSD-3-Clause", "superres/assets", None, sha256, size),),
        description="photos as people have them: removes noise and JPEG traces, sharpens",
        options=FACE_OPTIONS,
        speed=Speed.FAST,
        overlap=_CONVOLUTIONS + 2,
        seconds_per_megapixel=seconds,
        bytes_per_pixel={4: 1_050, 2: 750}[scale],
        stream=RowStreaming(
            stages=make_srvgg_stages, bytes_per_column=8_200, step_bytes=1_300, min_pixels=120_000
        ),
    )


ROWS = (_describe(4, 3.0), _describe(2, 2.8))
