"""The networks of the Real-ESRGAN family, from basicsr and realesrgan.

Source: Wang et al., "Real-ESRGAN", ICCVW 2021. Importing this module is cheap; the packages are
imported when a network is built.
"""

import re

from torch import nn

from superres.model_spec import StateDict
from superres.networks.torchvision_compat import repair_torchvision

# ESRGAN's first layout numbered the layers of a sequence; most community files have it.
_NUMBERED = {
    "model.0": "conv_first",
    "model.3": "conv_up1",
    "model.6": "conv_up2",
    "model.8": "conv_hr",
    "model.10": "conv_last",
}


def build_rrdb(scale: int, blocks: int = 23) -> nn.Module:
    """RRDBNet of 64 features: x4 of any size, x2 (pixel unshuffle first) of even sizes."""
    repair_torchvision()
    from basicsr.archs.rrdbnet_arch import RRDBNet

    network: nn.Module = RRDBNet(3, 3, scale=scale, num_feat=64, num_block=blocks, num_grow_ch=32)
    return network


def build_srvgg(convolutions: int, scale: int = 4) -> nn.Module:
    """SRVGGNetCompact of 64 features with `convolutions` inner layers and PReLU."""
    repair_torchvision()
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network: nn.Module = SRVGGNetCompact(
        3, 3, num_feat=64, num_conv=convolutions, upscale=scale, act_type="prelu"
    )
    return network


def convert_numbered(state: StateDict) -> StateDict:
    """Return an RRDB state dict of ESRGAN's first layout in basicsr's keys; any other as it is."""
    if "model.0.weight" not in state:
        return state
    return {_convert_key(key): value for key, value in state.items()}


def _convert_key(key: str) -> str:
    """basicsr's key for one of the numbered layout."""
    dense = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.(\w+)", key)
    if dense:
        return "body.{}.rdb{}.{}.{}".format(*dense.groups())
    layer, _, kind = key.rpartition(".")
    if re.fullmatch(r"model\.1\.sub\.\d+", layer):
        return f"conv_body.{kind}"
    return f"{_NUMBERED.get(layer, layer)}.{kind}"
