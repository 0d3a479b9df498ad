"""SwinIR and Swin2SR of any size, recognized by their tensors."""

import math
import re
from dataclasses import replace
from functools import partial

from superres.catalogue import swin2sr as swin2sr_rows
from superres.catalogue.window_transformers import (
    CLASSICAL,
    LIGHTWEIGHT,
    describe_window_transformer,
)
from superres.custom.detected import ANY_WEIGHTS, Detected, Finding, Unsupported
from superres.model_spec import FACE_OPTIONS, NetworkSpec, StateDict
from superres.networks.swin2sr import build_padded_swin2sr, convert_release
from superres.networks.swinir import build_padded_swinir, drop_tables

_MAX_LAYERS, _MAX_CHANNELS, _MAX_WINDOW = 40, 512, 64


def detect_swinir(state: StateDict) -> Finding:
    """Recognize SwinIR for super-resolution or for restoration at the same size.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, or why it is not computed; None for another architecture.
    """
    table = state.get("layers.0.residual_group.blocks.0.attn.relative_position_bias_table")
    first = state.get("conv_first.weight")
    if table is None or first is None or table.ndim != 2 or "conv_after_body.weight" not in state:
        # conv_after_body is one layer even where residuals have three
        return None
    layers, depth = (
        _count(state, r"layers\.(\d+)\."),
        _count(state, r"layers\.0\.residual_group\.blocks\.(\d+)\."),
    )
    channels, colours = first.shape[:2]
    window = (math.isqrt(table.shape[0]) + 1) // 2
    upsampler, scale = _find_upsampler(state, channels)
    summary = f"SwinIR x{scale}, {layers} layers of {channels} channels, window {window}"
    if (2 * window - 1) ** 2 != table.shape[0] or colours != 3 or scale == 0:
        return Unsupported("SwinIR", f"{colours} channels in, {upsampler or 'no'} upsampler")
    if layers > _MAX_LAYERS or channels > _MAX_CHANNELS or window > _MAX_WINDOW:
        return Unsupported(summary, f"at most {_MAX_LAYERS} layers and window {_MAX_WINDOW}")
    hidden = state["layers.0.residual_group.blocks.0.mlp.fc1.weight"].shape[0]
    build = partial(
        build_padded_swinir,
        scale,
        layers=layers,
        channels=channels,
        heads=table.shape[1],
        depth=depth,
        mlp_ratio=hidden / channels,
        window=window,
        upsampler=upsampler,
        resi_connection="3conv" if "layers.0.conv.0.weight" in state else "1conv",
    )
    cost = layers * depth / 36 * (channels / 180) ** 2
    return Detected(
        summary,
        partial(
            _make_spec,
            row=describe_window_transformer(
                "swinir.own",
                scale,
                build,
                ANY_WEIGHTS,
                # The catalogue's rows by scale, x4 being 8,500 and x1 about 3,000.
                round((2_900 + 1_500 * max(scale - 1, 0) ** 1.2) * max(channels / 180, 0.3)),
                round(110 * max(cost, 0.05) * max(1, window / 8), 1),
                LIGHTWEIGHT if cost < 0.3 else CLASSICAL,
                drop_tables,
            ),
            align=window,
        ),
    )


def _find_upsampler(state: StateDict, channels: int) -> tuple[str, int]:
    """Return basicsr's name of the upsampler and the scale, 0 where it is none that is known."""
    if "conv_hr.weight" in state or "conv_up1.weight" in state:
        return "nearest+conv", 4 if "conv_up2.weight" in state else 2
    if "conv_before_upsample.0.weight" in state:
        steps = [v.shape[0] // v.shape[1] for k, v in state.items() if _is_doubling(k)]
        return "pixelshuffle", math.prod(math.isqrt(step) for step in steps)
    if "upsample.0.weight" in state:
        outputs = state["upsample.0.weight"].shape[0]
        return "pixelshuffledirect", math.isqrt(outputs // 3)
    last = state.get("conv_last.weight")
    return "", int(last is not None and tuple(last.shape[:2]) == (3, channels))


def _is_doubling(key: str) -> bool:
    return re.fullmatch(r"upsample\.\d+\.weight", key) is not None


def _make_spec(name: str, row: NetworkSpec, align: int) -> NetworkSpec:
    return replace(
        row,
        name=name,
        description="your own file",
        options=FACE_OPTIONS,
        align=align,
        overlap=max(row.overlap, 4 * align),
    )


def detect_swin2sr(state: StateDict) -> Finding:
    """Recognize Swin2SR under the publisher's names or those of transformers.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, or why it is not computed; None for another architecture.
    """
    if not any(key.endswith("logit_scale") for key in state):
        return None
    published = convert_release(state)
    first = published.get("swin2sr.first_convolution.weight")
    if first is None or first.shape[1] != 3:
        return Unsupported("Swin2SR", "another number of channels than 3")
    channels = first.shape[0]
    stages = _count(published, r"swin2sr\.encoder\.stages\.(\d+)\.")
    upsampler, scale = _find_swin2sr_upsampler(published)
    summary = f"Swin2SR x{scale}, {stages} stages of {channels} channels"
    if scale == 0 or stages > _MAX_LAYERS or channels > _MAX_CHANNELS:
        return Unsupported(summary, f"no known upsampler, or more than {_MAX_LAYERS} stages")
    like = next(row for row in swin2sr_rows.ROWS if row.name == f"swin2sr.classical-x{scale}")
    build = partial(build_padded_swin2sr, scale, upsampler, stages=stages, channels=channels)
    cost = stages / 6 * (channels / 180) ** 2
    return Detected(
        summary,
        partial(
            _make_spec,
            row=replace(
                like,
                build=build,
                weights=(ANY_WEIGHTS,),
                seconds_per_megapixel=round(like.seconds_per_megapixel * max(cost, 0.3), 1),
            ),
            align=like.align,
        ),
    )


def _find_swin2sr_upsampler(state: StateDict) -> tuple[str, int]:
    """Return transformers' name of the upsampler and the scale, 0 where it is none that is
    known.
    """
    if "upsample.conv_aux.weight" in state:
        return "pixelshuffle_aux", 4
    if "upsample.conv_up1.weight" in state:
        return "nearest+conv", 4
    if "upsample.conv.weight" in state:
        outputs = math.isqrt(state["upsample.conv.weight"].shape[0] // 3)
        return "pixelshuffledirect", outputs if outputs in (2, 4) else 0
    doublings = sum("upsample.upsample.convolution_" in k and k.endswith("weight") for k in state)
    return "pixelshuffle", {1: 2, 2: 4}.get(doublings, 0)


def _count(state: StateDict, pattern: str) -> int:
    """Return one more than the largest number in the names that match."""
    return 1 + max((int(m[1]) for key in state if (m := re.match(pattern, key))), default=-1)
