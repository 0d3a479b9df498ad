"""The networks as their publishers run them: plain layers, nothing of ours in between.

RRDB, SRVGG and SwinIR are the packages' own. DIPNet, LapSRN and Bicubic++ are in no package: here
they are one call after the other, as a script would have them, whatever superres.networks does.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers.case import Unavailable
from superres.model_spec import NetworkSpec, StateDict
from superres.networks.luma_chroma import LumaNetwork, LumaUpscaler
from superres.networks.pad_to_multiple import Windowed
from superres.networks.torchvision_compat import repair_torchvision

# basicsr's arguments for the rows of the catalogue, by the part of the name before the scale.
SWINIR: dict[str, dict[str, Any]] = {
    "classical": {"embed_dim": 180, "layers": 6, "img_size": 64, "upsampler": "pixelshuffle"},
    "classical-div2k": {"embed_dim": 180, "layers": 6, "img_size": 48, "upsampler": "pixelshuffle"},
    "lightweight": {"embed_dim": 60, "layers": 4, "img_size": 64},
}


def plain(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """Return the publisher's network with the weights `state`: `(n, 3, h, w)` in 0..1 to `scale`
    times.

    Raises Unavailable where no plain form is known.
    """
    family, _, variant = spec.name.partition(".")
    if spec.system not in BUILDERS or variant.startswith("ms-") or spec.name == "lapsrn.x3":
        raise Unavailable(f"no plain form of {family}'s {variant} is known here")
    return BUILDERS[spec.system](spec, state).eval().requires_grad_(False)


def plain_or_ours(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """Return the plain network, or ours where none is known: the same arithmetic in all but its
    order.
    """
    try:
        return plain(spec, state)
    except Unavailable:
        return loaded(spec.build(), state).eval().requires_grad_(False)


def loaded(network: nn.Module, state: StateDict) -> nn.Module:
    """Return `network` with the weights `state`, none missing and none left over."""
    network.load_state_dict(state, strict=True)
    return network


def realesrgan(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """basicsr's RRDBNet or realesrgan's SRVGGNetCompact, told apart by their keys."""
    repair_torchvision()
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    if "conv_first.weight" in state:
        blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("body."))
        return loaded(RRDBNet(3, 3, spec.scale, 64, blocks, 32), state)
    last = max(int(key.split(".")[1]) for key in state)
    return loaded(SRVGGNetCompact(3, 3, 64, last // 2 - 1, spec.scale, "prelu"), state)


def swinir(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """basicsr's SwinIR, untouched, behind the padding to whole windows that it leaves to others."""
    repair_torchvision()
    from basicsr.archs.swinir_arch import SwinIR

    variant = spec.name.partition(".")[2].rpartition("-")[0]
    if variant not in SWINIR:
        raise Unavailable(f"basicsr's arguments for {spec.name} are not written down here")
    settings = {"upsampler": "pixelshuffledirect", **SWINIR[variant]}
    depth = settings.pop("layers")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
        network = SwinIR(
            upscale=spec.scale,
            window_size=8,
            depths=(6,) * depth,
            num_heads=(6,) * depth,
            mlp_ratio=2,
            **settings,
        )
    padded = Windowed(network, spec.scale)
    # Tables that follow from the windows' size, which ours does not keep.
    endings = ("attn_mask", "relative_position_index")
    tables = {k: v for k, v in padded.state_dict().items() if k.endswith(endings)}
    return loaded(padded, tables | state)


class Weights(nn.Module):
    """Weights by name, where PyTorch allows no dots in names."""

    def __init__(self, state: StateDict) -> None:
        super().__init__()
        self.names = tuple(state)
        self.numbers = nn.ParameterList(state.values())

    def by_name(self) -> StateDict:
        """Return the weights as they are now, wherever they were moved."""
        return dict(zip(self.names, self.numbers, strict=True))


class Calls(nn.Module):
    """A network that is a function of its weights and an image."""

    def __init__(self, state: StateDict, call: Callable[[StateDict, Tensor], Tensor]) -> None:
        super().__init__()
        self.weights = Weights(state)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.weights.by_name(), x)


class LumaCalls(LumaNetwork):
    """The same for luma alone."""

    def __init__(self, state: StateDict, scale: int) -> None:
        super().__init__()
        self.weights = Weights(state)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return pyramid(self.weights.by_name(), x, self.scale)


def conv(state: StateDict, name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
    """Return the convolution called `name`, with its bias where it has one."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return functional.conv2d(x, weight, bias, stride, padding)


def bicubic_pp(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """Bicubic++, CVPRW 2023, section 3."""

    def call(state: StateDict, x: Tensor) -> Tensor:
        half = functional.leaky_relu(conv(state, "conv0", x, stride=2), 0.1)
        y = functional.leaky_relu(conv(state, "conv1", half), 0.1)
        y = functional.leaky_relu(conv(state, "conv2", y), 0.1) + half
        return functional.pixel_shuffle(conv(state, "conv_out", y), 2 * spec.scale)

    return Calls(state, call)


def dipnet(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """DIPNet, CVPRW 2023, with the channels of the published weights."""

    def call(state: StateDict, x: Tensor) -> Tensor:
        y = first = conv(state, "conv_1", x)
        for number in range(1, 5):
            y = dipnet_block(state, f"block_{number}.", y)
        y = conv(state, "upsampler.0", conv(state, "conv_2", y) + first)
        return functional.pixel_shuffle(y, spec.scale)

    return Calls(state, call)


def dipnet_block(state: StateDict, name: str, x: Tensor) -> Tensor:
    """Three 3×3 layers around a skip, a 1×1 layer, and the mask of the spatial attention."""
    y = x
    for layer in ("c1_r", "c2_r", "c3_r"):
        y = functional.leaky_relu(conv(state, name + layer, y), 0.05, inplace=True)
    y = conv(state, f"{name}c5", y + x, padding=0)
    near = conv(state, f"{name}esa.conv1", y, padding=0)
    grid = functional.max_pool2d(conv(state, f"{name}esa.conv2", near, stride=2, padding=0), 7, 3)
    grid = conv(state, f"{name}esa.conv3", grid)
    fine = conv(state, f"{name}esa.conv_f", near, padding=0)
    grid = functional.interpolate(grid, y.shape[2:], mode="bilinear", align_corners=False)
    mask = conv(state, f"{name}esa.conv4", grid + fine, padding=0)
    return y * torch.sigmoid(mask)


def lapsrn(spec: NetworkSpec, state: StateDict) -> nn.Module:
    """LapSRN, CVPR 2017, on luma; chroma by bicubic.

    The published kernels of 3 that double the size get their zeros here, once: a script that crops
    what they compute too much would be slower still.
    """
    bare = {key.removeprefix("network."): value for key, value in state.items()}
    for key, value in bare.items():
        if key.endswith("_upconv.weight"):
            missing = 4 - value.shape[-1]
            bare[key] = functional.pad(value, (missing, 0, missing, 0))
    return LumaUpscaler(LumaCalls(bare, spec.scale))


def pyramid(state: StateDict, x: Tensor, scale: int) -> Tensor:
    """LapSRN's levels on luma (n, 1, h, w)."""
    y = functional.leaky_relu(conv(state, "input_conv", x), 0.2)
    for level in range(scale.bit_length() - 1, 0, -1):
        name = f"level{level}_"
        depth = sum(key.startswith(f"{name}conv") and key.endswith("weight") for key in state)
        for number in range(1, depth + 1):
            y = functional.leaky_relu(conv(state, f"{name}conv{number}", y), 0.2)
        y = functional.leaky_relu(doubled(state, f"{name}upconv", y), 0.2)
        x = doubled(state, f"{name}img_up", x) + conv(state, f"{name}residual_conv", y)
    return x


def doubled(state: StateDict, name: str, x: Tensor) -> Tensor:
    """Return the transposed convolution called `name`, of twice the size of `x`."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)


BUILDERS: dict[str, Callable[[NetworkSpec, StateDict], nn.Module]] = {
    "realesrgan": realesrgan,
    "swinir": swinir,
    "bicubic_pp": bicubic_pp,
    "dipnet": dipnet,
    "lapsrn": lapsrn,
}
