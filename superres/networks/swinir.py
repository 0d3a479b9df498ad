"""The networks of SwinIR, from basicsr, for images of any size.

Source: Liang et al., "SwinIR: Image Restoration Using Swin Transformer", ICCVW 2021. Importing
this module is cheap; basicsr is imported when a network is built.
"""

import warnings
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from superres.model_spec import StateDict
from superres.networks.pad_to_multiple import WINDOW, Windowed
from superres.networks.swin_attention import DOT, Blocks
from superres.networks.torchvision_compat import repair_torchvision

_TABLES = ("attn_mask", "relative_position_index")


def build_classical(scale: int) -> nn.Module:
    """SwinIR-M x2, x3, x4 or x8 for bicubic reduction."""
    return build_padded_swinir(scale, layers=6, channels=180, upsampler="pixelshuffle")


def build_lightweight(scale: int) -> nn.Module:
    """SwinIR-S x2, x3 or x4, a tenth of the size."""
    return build_padded_swinir(scale, layers=4, channels=60, upsampler="pixelshuffledirect")


def build_real(scale: int) -> nn.Module:
    """SwinIR-M x2 or x4 for images from the real world."""
    return build_padded_swinir(scale, layers=6, channels=180, upsampler="nearest+conv")


def build_real_large() -> nn.Module:
    """SwinIR-L x4 for images from the real world."""
    return build_padded_swinir(
        4, layers=9, channels=240, heads=8, upsampler="nearest+conv", resi_connection="3conv"
    )


def build_padded_swinir(
    scale: int,
    *,
    layers: int,
    channels: int,
    heads: int = 6,
    depth: int = 6,
    mlp_ratio: float = 2,
    window: int = WINDOW,
    colours: int = 3,
    **settings: str,
) -> nn.Module:
    """basicsr's SwinIR, for any size; with windows of 8, our blocks in place of its own.

    Its state dict is the publisher's without the tables that follow from the window's size.
    """
    repair_torchvision()
    from basicsr.archs.swinir_arch import SwinIR

    halved = scale == 2 and settings["upsampler"] == "nearest+conv"
    with warnings.catch_warnings():
        # basicsr 1.4.2 leaves the indexing of meshgrid open; torch warns and does what it means.
        warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
        network: Any = SwinIR(
            upscale=4 if halved else scale,
            img_size=8 * window,
            in_chans=colours,
            window_size=window,
            depths=(depth,) * layers,
            embed_dim=channels,
            num_heads=(heads,) * layers,
            mlp_ratio=mlp_ratio,
            drop_path_rate=0,
            **settings,
        )
    if window == WINDOW:
        for layer in network.layers:
            layer.residual_group = Blocks(layer.residual_group.blocks, DOT)
    _forget_tables(network)
    return Windowed(OneDoubling(network) if halved else network, scale, window)


def drop_tables(state: StateDict) -> StateDict:
    """Return a state dict without what follows from the sizes of window and training patch.

    Many files lack these tables, and those of other patches have other masks.
    """
    return {key: value for key, value in state.items() if not key.endswith(_TABLES)}


def _forget_tables(network: nn.Module) -> None:
    """Leave the tables out of the network's state dict."""
    for module in network.modules():
        for name in _TABLES:
            if name in dict(module.named_buffers(recurse=False)):
                module.register_buffer(name, module.get_buffer(name), persistent=False)


class OneDoubling(nn.Module):
    """The real-world network x2, made of the x4 one: `conv_up2` and its doubling are left out.

    basicsr 1.4.2 builds the real-world network for x4 only.
    """

    mean: Tensor
    conv_first: nn.Module
    patch_embed: nn.Module
    layers: nn.ModuleList
    norm: nn.Module
    conv_after_body: nn.Module
    conv_before_upsample: nn.Module
    conv_up1: nn.Module
    conv_hr: nn.Module
    conv_last: nn.Module

    def __init__(self, fourfold: Any) -> None:
        super().__init__()
        for name, part in fourfold.named_children():
            if name != "conv_up2":
                self.add_module(name, part)
        self.register_buffer("mean", fourfold.mean, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv_first(x - self.mean)
        features = self.conv_before_upsample(self.conv_after_body(self.body(first)).add_(first))
        features = leaky_relu(self.conv_up1(interpolate(features, scale_factor=2)), 0.2)
        y: Tensor = self.conv_last(leaky_relu(self.conv_hr(features), 0.2))
        return y + self.mean

    def body(self, first: Tensor) -> Tensor:
        """Return the features (n, c, h, w) of all layers."""
        tokens = self.patch_embed(first)
        for layer in self.layers:
            tokens = layer(tokens, first.shape[2:])
        normed: Tensor = self.norm(tokens)
        return normed.transpose(1, 2).reshape(first.shape)
