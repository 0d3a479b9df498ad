"""LapSRN row by row: equal to the whole image to float rounding."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from superres.networks.lapsrn import SLOPE, Doubling, LapSRNNetwork, levels
from superres.networks.luma_chroma import (
    BicubicUpscaler,
    LumaUpscaler,
    join_luma_chroma,
    mirror_pad,
    split_luma_chroma,
)
from superres.networks.streaming.packed_conv import Packed
from superres.networks.streaming.stages import (
    Chain,
    Convolution,
    Delay,
    LineBuffer,
    Stage,
    StageMaker,
    make_leaky_relu,
)

activated = make_leaky_relu(SLOPE)


class Doubled:
    """A transposed 4×4 layer of stride 2: row 2i reads rows i-1 and i, row 2i+1 rows i and i+1."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.window = LineBuffer()

    def push(self, rows: Tensor, last: bool) -> Tensor:
        x = self.window.slide(rows, last)
        if x.shape[2] < 3:
            return x.new_empty(1, self.weight.shape[1], 0, 2 * x.shape[3])
        # A padding of 3 leaves out the two rows at either end that lack a neighbour.
        return conv_transpose2d(x, self.weight, self.bias, stride=2, padding=(3, 1))


class LevelLayers:
    """The layers of one level, ready."""

    def __init__(self, network: LapSRNNetwork, level: int) -> None:
        def part(name: str) -> Any:
            return network.get_submodule(f"level{level}_{name}")

        self.trunk = [Packed(part(f"conv{number}")) for number in range(1, network.depth + 1)]
        self.doubling: Doubling = part("upconv")
        self.detail = Packed(part("residual_conv"))
        self.image: nn.ConvTranspose2d = part("img_up")


class Level:
    """One doubling of the pyramid: features deepened and doubled, their detail on the image."""

    def __init__(self, layers: LevelLayers) -> None:
        trunk: list[Stage] = [Convolution(layer, activated) for layer in layers.trunk]
        doubling, image = layers.doubling, layers.image
        self.features = Chain([*trunk, Doubled(doubling.widened(), doubling.bias)])
        self.detail = Convolution(layers.detail)
        self.image = Doubled(image.weight, image.bias)
        self.delay = Delay()

    def push(self, features: Tensor, image: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Return the next rows of the features and of the image, both doubled."""
        features = activated(self.features.push(features, last))
        self.delay.put(self.image.push(image, last))
        detail = self.detail.push(features, last)
        return features, detail.add_(self.delay.take(detail.shape[2]))


class Luma:
    """All levels, on studio-range luma."""

    def __init__(self, first: Packed, levels: list[LevelLayers]) -> None:
        self.first = Convolution(first, activated)
        self.levels = [Level(layers) for layers in levels]

    def push(self, rows: Tensor, last: bool) -> Tensor:
        features = self.first.push(rows, last)
        for level in self.levels:
            features, rows = level.push(features, rows, last)
        return rows


class Chroma:
    """The bicubic enlargement of whole rows; the image is mirrored at its borders."""

    def __init__(self, bicubic: BicubicUpscaler) -> None:
        self.bicubic = bicubic
        self.above, self.below = bicubic.reach
        self.seen: Tensor | None = None
        self.begun = False

    def push(self, rows: Tensor, last: bool) -> Tensor:
        x = rows if self.seen is None else torch.cat([self.seen, rows], 2)
        if not self.begun and (last or x.shape[2] >= self.above):
            x = mirror_pad(x, 2, self.above, 0)
            self.begun = True
        if last:
            x = mirror_pad(x, 2, 0, self.below)
        reach = self.above + self.below
        if not self.begun or x.shape[2] <= reach:
            self.seen = x
            return x.new_empty(1, x.shape[1], 0, x.shape[3] * self.bicubic.up)
        self.seen = x[:, :, -reach:].clone()
        return self.bicubic.within(x)


class Coloured:
    """Luma by the network, chroma by bicubic, each as far as both have come."""

    def __init__(self, network: LumaUpscaler, luma: Stage) -> None:
        self.luma, self.chroma = luma, Chroma(network.bicubic)
        self.lumas, self.chromas = Delay(), Delay()

    def push(self, rows: Tensor, last: bool) -> Tensor:
        luma, chroma = split_luma_chroma(rows)
        self.lumas.put(self.luma.push(luma, last))
        self.chromas.put(self.chroma.push(chroma, last))
        count = min(len(self.lumas), len(self.chromas))
        made = join_luma_chroma(self.lumas.take(count), self.chromas.take(count))
        return made.contiguous(memory_format=torch.channels_last)


def make_lapsrn_stages(network: Any) -> StageMaker:
    """Return the stages of a LumaUpscaler around LapSRN."""
    inner: LapSRNNetwork = network.network
    first = Packed(inner.input_conv)
    layers = [LevelLayers(inner, level) for level in levels(inner.scale)]
    return lambda _size: Coloured(network, Luma(first, layers))
