"""The networks of Swin2SR, from transformers, for images of any size, and their two file layouts.

Source: Conde et al., "Swin2SR: SwinV2 Transformer for Compressed Image Super-Resolution and
Restoration", ECCVW 2022; Liu et al., "Swin Transformer V2", CVPR 2022. Importing this module is
cheap; transformers is imported when a network is built.
"""

import re
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from superres.errors import WeightsMismatch
from superres.model_spec import StateDict
from superres.networks.pad_to_multiple import WINDOW, Windowed
from superres.networks.swin_attention import COSINE, TOKENS, run_blocks
from superres.networks.torchvision_compat import repair_torchvision


def build_classical(scale: int) -> nn.Module:
    """Swin2SR x2 or x4 for bicubic reduction."""
    return build_padded_swin2sr(scale, "pixelshuffle")


def build_lightweight() -> nn.Module:
    """Swin2SR-S x2, a twelfth of the size."""
    return build_padded_swin2sr(2, "pixelshuffledirect", stages=4, channels=60)


def build_compressed() -> nn.Module:
    """Swin2SR x4 for JPEG files; its auxiliary image, for training, is left out."""
    return build_padded_swin2sr(4, "pixelshuffle_aux", patch=48)


def build_real() -> nn.Module:
    """Swin2SR x4 for images from the real world."""
    return build_padded_swin2sr(4, "nearest+conv")


def build_padded_swin2sr(
    scale: int, upsampler: str, *, patch: int = 64, stages: int = 6, channels: int = 180
) -> nn.Module:
    """Return transformers' Swin2SR with our blocks, for any size; its state dict is transformers'
    own.
    """
    repair_torchvision()
    from transformers.models.swin2sr.configuration_swin2sr import Swin2SRConfig
    from transformers.models.swin2sr.modeling_swin2sr import Swin2SRForImageSuperResolution

    config = Swin2SRConfig(
        image_size=patch,
        window_size=WINDOW,
        embed_dim=channels,
        depths=(6,) * stages,
        num_heads=(6,) * stages,
        upscale=scale,
        upsampler=upsampler,
    )
    return Windowed(Swin2SRNetwork(Swin2SRForImageSuperResolution(config)), scale)


class Swin2SRNetwork(nn.Module):
    """`(n, 3, h, w)`, sides multiples of 8, to `(n, 3, scale·h, scale·w)`: transformers' parts.

    It computes what the publisher's network computes, where transformers 5.23 differs from it:
    the mask of shifted windows is added once, not twice, and for compressed images the bicubic
    enlargement is taken after the mean is subtracted, not before.
    """

    mean: Tensor
    swin2sr: nn.Module
    upsample: nn.Module

    def __init__(self, published: Any) -> None:
        super().__init__()
        self.swin2sr = published.swin2sr
        self.upsample = published.upsample
        self.scale = published.upscale
        self.auxiliary = published.upsampler == "pixelshuffle_aux"
        self.register_buffer("mean", published.swin2sr.mean, persistent=False)
        stages = published.swin2sr.encoder.stages
        for number, stage in enumerate(stages):
            stages[number] = SwinStage(stage)

    def forward(self, x: Tensor) -> Tensor:
        features = self.swin2sr(x, return_dict=False)[0]
        if not self.auxiliary:
            y: Tensor = self.upsample(features)
            return y + self.mean
        bicubic = interpolate(x - self.mean, scale_factor=self.scale, mode="bicubic")
        y = self.upsample(features, bicubic, *x.shape[2:])[0]
        return y + self.mean


class SwinStage(nn.Module):
    """transformers' residual stage: our blocks, one convolution, a projection, and the skip."""

    layers: nn.ModuleList
    conv: nn.Module
    patch_embed: nn.Module

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self.layers = stage.layers
        self.conv = stage.conv
        self.patch_embed = stage.patch_embed

    def forward(
        self, tokens: Tensor, size: tuple[int, int], *_: object
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return `tokens` (n, h·w, c) after the stage, and `size`, which is (h, w), unchanged."""
        after = run_blocks(self.layers, COSINE, tokens, size)
        image = after.transpose(1, 2).unflatten(2, size)  # (n, c, h, w)
        projected: Tensor = self.patch_embed(self.conv(image))[0]
        return projected + tokens, size


def convert_release(state: StateDict) -> StateDict:
    """Return `state` under transformers' keys, whether it has these or the publisher's.

    Tables that follow from the window's size are dropped once their size has shown that they
    belong to windows of 8 pixels: no other entry depends on it. Raises WeightsMismatch if not.
    """
    _check_window(state)
    learned = {key: value for key, value in state.items() if not key.endswith(TABLES)}
    if "conv_first.weight" not in learned:
        return learned
    names = _list_renames("conv_last.weight" in learned)
    converted: StateDict = {}
    for key, value in learned.items():
        name = _rename_key(key, names)
        if name.endswith("qkv.weight"):
            rows = zip(("query", "key", "value"), value.chunk(3), strict=True)
            converted |= {name.replace("qkv", part): matrix for part, matrix in rows}
        else:
            converted[name] = value
    return converted


TABLES = ("relative_coords_table", "relative_position_index", "attn_mask", "self_mask")


def _check_window(state: StateDict) -> None:
    """Raise WeightsMismatch where `state` has a table of another window than 8 by 8."""
    for key, value in state.items():
        if key.endswith("relative_position_index") and value.shape != (TOKENS, TOKENS):
            raise WeightsMismatch(
                f"{key} has shape {tuple(value.shape)}: expected {(TOKENS, TOKENS)}, "
                f"a network with windows of {WINDOW} pixels"
            )


def _list_renames(has_last: bool) -> tuple[tuple[str, str], ...]:
    """Patterns of the publisher's keys and what replaces each; the first that matches counts.

    Without `conv_last` the upsampler is the lightweight one, a single convolution.
    """
    stage = r"swin2sr.encoder.stages.\1."
    block = r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\."
    layer = stage + r"layers.\2."
    return (
        (block + r"attn\.proj\.", layer + "attention.output.dense."),
        (block + r"attn\.q_bias", layer + "attention.self.query.bias"),
        (block + r"attn\.v_bias", layer + "attention.self.value.bias"),
        (block + r"attn\.cpb_mlp\.", layer + "attention.self.continuous_position_bias_mlp."),
        (block + r"attn\.", layer + "attention.self."),
        (block + r"norm1\.", layer + "layernorm_before."),
        (block + r"norm2\.", layer + "layernorm_after."),
        (block + r"mlp\.fc1\.", layer + "intermediate.dense."),
        (block + r"mlp\.fc2\.", layer + "output.dense."),
        (r"layers\.(\d+)\.patch_embed\.proj\.", stage + "patch_embed.projection."),
        (r"layers\.(\d+)\.conv\.", stage + "conv."),
        (r"patch_embed\.proj\.", "swin2sr.embeddings.patch_embeddings.projection."),
        (r"patch_embed\.norm\.", "swin2sr.embeddings.patch_embeddings.layernorm."),
        (r"norm\.", "swin2sr.layernorm."),
        (r"conv_first\.", "swin2sr.first_convolution."),
        (r"conv_after_body\.", "swin2sr.conv_after_body."),
        (r"conv_before_upsample\.0\.", "upsample.conv_before_upsample."),
        (r"conv_last\.", "upsample.final_convolution."),
        (r"upsample\.0\.", "upsample.upsample.convolution_0." if has_last else "upsample.conv."),
        (r"upsample\.2\.", "upsample.upsample.convolution_1."),
        (r"(conv_(?:up1|up2|hr|bicubic|aux|after_aux)\.)", r"upsample.\1"),
    )


def _rename_key(key: str, names: tuple[tuple[str, str], ...]) -> str:
    """Return `key` as transformers names it; one that no pattern knows stays, for the loader to
    refuse.
    """
    for pattern, name in names:
        new, count = re.subn("^" + pattern, name, key)
        if count:
            return new
    return key
