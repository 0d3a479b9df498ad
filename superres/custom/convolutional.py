"""RRDB and compact networks of any size, recognized by their tensors.

Costs follow from the layers: they are those of the catalogue's rows, which were measured, in
proportion (tests/superres/custom/test_costs.py).
"""

import math
import re
from collections.abc import Callable
from functools import partial

from torch import nn

from superres.custom.detected import ANY_WEIGHTS, Detected, Finding, Unsupported
from superres.model_spec import (
    FACE_OPTIONS,
    NetworkSpec,
    RowStreaming,
    SizeRequirements,
    Speed,
    StateDict,
)
from superres.networks.full_range_luma import wrap_luma_network, wrap_state
from superres.networks.realesrgan import build_rrdb, build_srvgg, convert_rrdb
from superres.networks.streaming.rrdb import make_rrdb_stages
from superres.networks.streaming.srvgg import make_srvgg_stages

_MAX_BLOCKS, _MAX_FEATURES = 100, 512  # ten times what anybody trains; keeps memory bounded


def detect_rrdb(state: StateDict) -> Finding:
    """Recognize ESRGAN's network in any of its three layouts.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, or why it is not computed; None for another architecture.
    """
    state = convert_rrdb(state)
    first = state.get("conv_first.weight")
    if first is None or "body.0.rdb1.conv1.weight" not in state or "conv_last.weight" not in state:
        return None
    if any("conv1x1" in key for key in state):
        return Unsupported("ESRGAN+", "its dense blocks have one layer more than ESRGAN's")
    features, channels = first.shape[0], state["conv_last.weight"].shape[0]
    blocks = 1 + max(int(m[1]) for key in state if (m := re.match(r"body\.(\d+)\.", key)))
    growth = state["body.0.rdb1.conv1.weight"].shape[0]
    unshuffle = math.isqrt(first.shape[1] // max(channels, 1))
    doublings = sum(re.fullmatch(r"conv_up\d+\.weight", key) is not None for key in state)
    scale = 2**doublings // max(unshuffle, 1)
    summary = f"RRDB x{scale}, {blocks} blocks of {features} features"
    if channels not in (1, 3) or first.shape[1] != channels * unshuffle**2 or scale < 1:
        return Unsupported("RRDB", f"{first.shape[1]} channels in and {channels} out")
    if blocks > _MAX_BLOCKS or max(features, growth) > _MAX_FEATURES:
        return Unsupported(summary, f"at most {_MAX_BLOCKS} blocks of {_MAX_FEATURES} features")
    summary += " on luma" if channels == 1 else ""
    build = partial(
        build_rrdb,
        scale,
        blocks,
        features=features,
        growth=growth,
        channels=channels,
        unshuffle=unshuffle,
    )
    # Seconds and bytes of x4plus and of anime-x4 by block, and what both have beside blocks.
    width = unshuffle**2
    dense = _count_dense(features, growth) / _count_dense(64, 32)
    outside = (features / 64) ** 2 * (2 ** (2 * doublings)) / 16
    body = (6 * features + 14 * growth) / 832
    return Detected(
        summary,
        partial(
            _make_spec,
            scale=scale,
            channels=channels,
            build=build,
            convert=convert_rrdb,
            speed=Speed.SLOW if blocks > 12 and unshuffle == 1 else Speed.MEDIUM,
            overlap=64 * unshuffle,
            input_size=SizeRequirements(multiple_of=unshuffle),
            seconds_per_megapixel=(4.2 * blocks * dense + 10.5 * outside) / width,
            bytes_per_pixel=max(
                round(10_500 * features / 64 * scale**2 / 16),
                round(12 * (features + 4 * growth) / width),
            ),
            stream=RowStreaming(
                stages=make_rrdb_stages,
                bytes_per_column=round(
                    (14_200 * blocks * body + 25_600 * features / 64 * 2**doublings / 4) / unshuffle
                ),
                step_bytes=round(6_500 * features / 64 * max(scale**2 / 16, 0.25)),
                min_pixels=14_000,
            ),
        ),
    )


def _count_dense(features: int, growth: int) -> int:
    """Return the products per pixel of one dense block, up to a factor."""
    inner = sum((features + n * growth) * growth for n in range(4))
    return inner + (features + 4 * growth) * features


def detect_compact(state: StateDict) -> Finding:
    """Recognize SRVGGNetCompact of any depth, width and scale.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, or why it is not computed; None for another architecture.
    """
    if not state or not all(re.fullmatch(r"body\.\d+\.(weight|bias)", key) for key in state):
        return None
    layers = sorted({int(key.split(".")[1]) for key in state})
    first, last = state.get("body.0.weight"), state.get(f"body.{layers[-1]}.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        return None
    features, channels = first.shape[:2]
    scale = math.isqrt(last.shape[0] // max(channels, 1))
    convolutions = layers[-1] // 2 - 1
    summary = f"compact network x{scale}, {convolutions} convolutions of {features} features"
    if layers != list(range(layers[-1] + 1)):
        return Unsupported(
            "a compact network without PReLU", "its activation cannot be told from the file"
        )
    if channels not in (1, 3) or last.shape[0] != channels * scale**2 or scale < 1:
        return Unsupported("a compact network", f"{channels} channels in, {last.shape[0]} out")
    if convolutions > 10 * _MAX_BLOCKS or features > _MAX_FEATURES or scale > 8:
        return Unsupported(summary, f"at most x8 and {_MAX_FEATURES} features")
    summary += " on luma" if channels == 1 else ""
    share, output = features / 64, scale**2 / 16
    return Detected(
        summary,
        partial(
            _make_spec,
            scale=scale,
            channels=channels,
            build=partial(build_srvgg, convolutions, scale, features, channels),
            convert=None,
            speed=Speed.FAST if convolutions <= 16 else Speed.MEDIUM,
            overlap=convolutions + 2,
            input_size=SizeRequirements(),
            seconds_per_megapixel=0.2 * convolutions * share**2 + 0.15 * share * output,
            bytes_per_pixel=round(550 * share + 500 * output),
            stream=RowStreaming(
                stages=make_srvgg_stages,
                bytes_per_column=round(525 * (convolutions + 1) * share + 800),
                step_bytes=round(650 * share + 650 * output),
                min_pixels=120_000,
            ),
        ),
    )


def _make_spec(  # noqa: PLR0913 # the fields that differ
    name: str,
    *,
    scale: int,
    channels: int,
    build: "partial[nn.Module]",
    convert: Callable[[StateDict], StateDict] | None,
    speed: Speed,
    overlap: int,
    input_size: SizeRequirements,
    seconds_per_megapixel: float,
    bytes_per_pixel: int,
    stream: RowStreaming,
) -> NetworkSpec:
    """Return the row of a file; a network of luma is given the colour around it, and is tiled."""
    on_luma = channels == 1
    return NetworkSpec(
        name=name,
        system="realesrgan",
        scale=scale,
        weights=(ANY_WEIGHTS,),
        description="your own file",
        options=FACE_OPTIONS,
        build=partial(wrap_luma_network, build, scale) if on_luma else build,
        convert=partial(wrap_state, convert) if on_luma else convert,
        speed=speed,
        overlap=overlap,
        input_size=input_size,
        seconds_per_megapixel=round(seconds_per_megapixel, 3),
        bytes_per_pixel=bytes_per_pixel + (scale**2 * 24 if on_luma else 0),
        stream=None if on_luma else stream,
    )
