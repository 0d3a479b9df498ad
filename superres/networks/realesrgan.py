"""The networks of the Real-ESRGAN family, from basicsr and realesrgan.

Source: Wang et al., "Real-ESRGAN", ICCVW 2021. Importing this module is cheap; the packages are
imported when a network is built.
"""

import re

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_unshuffle

from superres.model_spec import StateDict
from superres.networks.torchvision_compat import repair_torchvision

# Names of ESRGAN's second layout, in basicsr's; of the blocks, see _convert_key.
_SECOND_LAYOUT = {
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "HRconv": "conv_hr",
}


def build_rrdb(
    scale: int,
    blocks: int = 23,
    *,
    features: int = 64,
    growth: int = 32,
    channels: int = 3,
    unshuffle: int | None = None,
) -> nn.Module:
    """RRDBNet: x4 of any size, x2 and x1 by pixel unshuffle of images in multiples of it.

    Args:
        scale: 1, 2, 4 or 8.
        blocks: Residual blocks.
        features: Channels between blocks.
        growth: Channels that each layer of a dense block adds.
        channels: Of the image, 3 or 1.
        unshuffle: Pixels a side that become channels first: by default what basicsr does, 2 for x2
            and none for x4; 1 is none.

    Returns:
        The network, with random weights.
    """
    repair_torchvision()
    from basicsr.archs.rrdbnet_arch import RRDBNet

    settings = {"num_feat": features, "num_block": blocks, "num_grow_ch": growth}
    if unshuffle is None or scale * unshuffle == 4:  # what basicsr builds
        made: nn.Module = RRDBNet(channels, channels, scale=scale, **settings)
        return made
    made = RRDBNet(channels * unshuffle**2, channels, scale=4, **settings)
    return PlainRRDB(made, scale, unshuffle)


class PlainRRDB(nn.Module):
    """An RRDB network of another number of doublings than basicsr's two, of its parts."""

    conv_first: nn.Conv2d
    body: nn.Sequential
    conv_body: nn.Conv2d
    conv_hr: nn.Conv2d
    conv_last: nn.Conv2d

    def __init__(self, fourfold: nn.Module, scale: int, unshuffle: int) -> None:
        """Take the parts of a fourfold network.

        Args:
            fourfold: basicsr's RRDBNet x4 of as many channels in as there are after unshuffling.
            scale: Of the network.
            unshuffle: Pixels a side that become channels first.
        """
        super().__init__()
        self.scale, self.unshuffle = scale, unshuffle
        for name in ("conv_first", "body", "conv_body", "conv_hr", "conv_last"):
            self.add_module(name, getattr(fourfold, name))
        features = self.conv_hr.in_channels
        self.doublings = (scale * unshuffle).bit_length() - 1
        for number in range(1, self.doublings + 1):
            self.add_module(f"conv_up{number}", nn.Conv2d(features, features, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (n, c, scale·h, scale·w) of (n, c, h, w)."""
        x = pixel_unshuffle(x, self.unshuffle) if self.unshuffle > 1 else x
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        for number in range(1, self.doublings + 1):
            enlarged = interpolate(features, scale_factor=2)
            features = leaky_relu(getattr(self, f"conv_up{number}")(enlarged), 0.2)
        made: Tensor = self.conv_last(leaky_relu(self.conv_hr(features), 0.2))
        return made


def build_srvgg(
    convolutions: int, scale: int = 4, features: int = 64, channels: int = 3
) -> nn.Module:
    """SRVGGNetCompact with `convolutions` inner layers and PReLU."""
    repair_torchvision()
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network: nn.Module = SRVGGNetCompact(
        channels,
        channels,
        num_feat=features,
        num_conv=convolutions,
        upscale=scale,
        act_type="prelu",
    )
    return network


def list_rrdb_layers(blocks: int) -> tuple[str, ...]:
    """Return the layers of an RRDBNet x4 that have numbers, in the order of computation."""
    dense = tuple(
        f"body.{block}.rdb{part}.conv{layer}"
        for block in range(blocks)
        for part in (1, 2, 3)
        for layer in (1, 2, 3, 4, 5)
    )
    return ("conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


def list_srvgg_layers(convolutions: int) -> tuple[str, ...]:
    """Return the layers of an SRVGGNetCompact: convolutions with PReLU between them."""
    return tuple(f"body.{layer}" for layer in range(2 * convolutions + 3))


def convert_rrdb(state: StateDict) -> StateDict:
    """Return an RRDB state dict of either of ESRGAN's own layouts in basicsr's keys; any other as
    it is.
    """
    if "model.0.weight" in state:
        ends = [int(key.split(".")[1]) for key in state if re.fullmatch(r"model\.\d+\.weight", key)]
        names = {0: "conv_first", max(ends): "conv_last", max(ends) - 2: "conv_hr"}
        doublings = sorted(set(ends) - names.keys())
        names |= {layer: f"conv_up{number}" for number, layer in enumerate(doublings, start=1)}
        numbered = {f"model.{layer}": name for layer, name in names.items()}
        return {_convert_key(key, numbered): value for key, value in state.items()}
    if any(key.startswith("RRDB_trunk.") for key in state):
        return {_convert_key(key, _SECOND_LAYOUT): value for key, value in state.items()}
    return state


def _convert_key(key: str, names: dict[str, str]) -> str:
    """basicsr's key for one of another layout."""
    dense = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.(\w+)", key)
    dense = dense or re.fullmatch(r"RRDB_trunk\.(\d+)\.RDB(\d)\.(conv\d)\.(\w+)", key)
    if dense:
        return "body.{}.rdb{}.{}.{}".format(*dense.groups())
    layer, _, kind = key.rpartition(".")
    if re.fullmatch(r"model\.1\.sub\.\d+", layer):
        return f"conv_body.{kind}"
    return f"{names.get(layer, layer)}.{kind}"
