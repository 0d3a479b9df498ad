"""SRVGGNetCompact row by row: equal to the whole image to float rounding."""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, prelu

from superres.geometry import Size
from superres.networks.streaming.packed_conv import Packed
from superres.networks.streaming.stages import (
    Activation,
    Chain,
    Convolution,
    Delay,
    Stage,
    StageMaker,
    to_channel_layout,
    to_row_layout,
)


class Enlarged:
    """The branch's channels as pixels, added to the repeated pixels of what went in."""

    def __init__(self, branch: Stage, scale: int) -> None:
        self.branch = branch
        self.scale = scale
        self.delay = Delay()

    def push(self, rows: Tensor, last: bool) -> Tensor:
        self.delay.put(rows)
        made = to_row_layout(self.branch.push(rows, last))
        height, width, channels = made.shape
        # Added before the shuffle, where every channel of a colour gets the same pixel.
        colours = made.view(height, width, 3, channels // 3)
        colours.add_(to_row_layout(self.delay.take(height))[..., None])
        return pixel_shuffle(to_channel_layout(made), self.scale)


def make_srvgg_stages(network: Any) -> StageMaker:
    """Return the stages of realesrgan's SRVGGNetCompact with PReLU."""
    body = list(network.body)
    layers = [Packed(layer) for layer in body[::2]]
    activations = [*map(activation, body[1::2]), None]

    def stages(_size: Size) -> Stage:
        chain = [Convolution(*pair) for pair in zip(layers, activations, strict=True)]
        return Enlarged(Chain(chain), network.upscale)

    return stages


def activation(layer: nn.PReLU) -> Activation:
    """Return the PReLU of `layer`."""
    return lambda x: prelu(x, layer.weight)
