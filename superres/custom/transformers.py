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
# By Swin2SR's upsampler the row that a network's costs are in proportion to.
_LIKE = {
    "pixelshuffledirect": "swin2sr.lightweight-x2",
    "pixelshuffle": "swin2sr.classical-x{}",
    "pixelshuffle_aux": "swin2sr.compressed-x4",
    "nearest+conv": "swin2sr.real-x4",
}


def detect_swinir(state: StateDict) -> Finding:
    """Recognize SwinIR for super-resolution or for restoration at the same size.

    Args:
        state: Tensors by name, without prefixes.

    Returns:
        The network, or why it is not computed; None for another architecture.
    """
    table = state.get("layers.0.residual_group.blocks.0.attn.relative_position_bias_table")
    first = state.get("conv_first.weight")
    if table is None or first is None or table.ndim != 2 or not _is_swinir(state):
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
    # What the catalogue's networks of 60, 180 and 240 channels took, in layers and in the output.
    seconds = layers * depth * channels * (3.2e-5 * channels + 0.0113)
    seconds += 0 if upsampler in ("", "pixelshuffledirect") else 0.4 * scale**2
    return Detected(
        summary,
        partial(
            _make_spec,
            row=describe_window_transformer(
                "swinir.own",
                scale,
                build,
                ANY_WEIGHTS,
                _estimate_bytes(scale, channels, table.shape[1], window, upsampler),
                round(seconds * max(1, window / 8), 1),
                LIGHTWEIGHT if seconds < 35 else CLASSICAL,
                drop_tables,
            ),
            align=window,
        ),
    )


def _is_swinir(state: StateDict) -> bool:
    """Tell SwinIR from HAT, which has more in its blocks, and from SRFormer, which has less."""
    block = "layers.0.residual_group.blocks.0."
    parts = {k.removeprefix(block).partition(".")[0] for k in state if k.startswith(block)}
    return (
        parts <= {"norm1", "attn", "attn_mask", "norm2", "mlp"}
        and f"{block}attn.qkv.weight" in state
        and not {"conv_after_body.weight", "conv_after_body.0.weight"}.isdisjoint(state)
    )


def _estimate_bytes(scale: int, channels: int, heads: int, window: int, upsampler: str) -> int:
    """Return the peak memory per input pixel of SwinIR: of attention or of the last layers."""
    attention = max(4 * heads * window**2, 3_000 * channels // 180)
    output = {"pixelshuffle": 1_500 + 530 * scale**2, "nearest+conv": 3_100 + 400 * scale**2}
    return max(attention, output.get(upsampler, 0))


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
    biases = ("cpb_mlp.0.weight", "continuous_position_bias_mlp.0.weight")
    if not any(key.endswith(biases) for key in state):
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
    like = next(row for row in swin2sr_rows.ROWS if row.name == _LIKE[upsampler].format(scale))
    is_light = upsampler == "pixelshuffledirect"  # the row's: 4 stages of 60, not 6 of 180
    width = channels / (60 if is_light else 180)
    cost = width * stages / (4 if is_light else 6)
    build = partial(build_padded_swin2sr, scale, upsampler, stages=stages, channels=channels)
    return Detected(
        summary,
        partial(
            _make_spec,
            row=replace(
                like,
                scale=scale,
                build=build,
                weights=(ANY_WEIGHTS,),
                seconds_per_megapixel=round(like.seconds_per_megapixel * cost * max(width, 0.6), 1),
                bytes_per_pixel=round(like.bytes_per_pixel * max(width, 0.4)),
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
