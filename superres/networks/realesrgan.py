"""The networks of the Real-ESRGAN family, from basicsr and realesrgan.

Source: Wang et al., "Real-ESRGAN", ICCVW 2021. Importing this module is cheap; the packages are
imported when a network is built.
"""

from torch import nn

from superres.networks.repair import repair_torchvision


def rrdb(scale: int, blocks: int = 23) -> nn.Module:
    """RRDBNet of 64 features: x4 of any size, x2 (pixel unshuffle first) of even sizes."""
    repair_torchvision()
    from basicsr.archs.rrdbnet_arch import RRDBNet

    network: nn.Module = RRDBNet(3, 3, scale=scale, num_feat=64, num_block=blocks, num_grow_ch=32)
    return network


def srvgg(convolutions: int) -> nn.Module:
    """SRVGGNetCompact x4 of 64 features with `convolutions` inner layers and PReLU."""
    repair_torchvision()
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network: nn.Module = SRVGGNetCompact(
        3, 3, num_feat=64, num_conv=convolutions, upscale=4, act_type="prelu"
    )
    return network
