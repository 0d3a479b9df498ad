"""RRDBNet row by row: equal to the whole image to float rounding, in memory of its width.

The layers are basicsr's, so their weights are whatever the network was given.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from superres.geometry import Size
from superres.networks.streaming.packed_conv import Packed
from superres.networks.streaming.stages import (
    Chain,
    Convolution,
    Delay,
    Residual,
    RowLimiter,
    Stage,
    StageMaker,
    make_leaky_relu,
    to_channel_layout,
    to_row_layout,
)

_LAYERS = 5  # of a dense block; each lags a row behind the one before
_REMEMBERED = (6, 5, 4, 3, 2)  # rows of its input and of all layers but the last
SLOPE = 0.2
SHARE = 0.2  # of a branch that is added to what went in
_LARGE_ROWS = 4  # rows at a time for the layers at four times the size


class Scratch:
    """Memory for the features of one dense block at a time, used again by each."""

    def __init__(self) -> None:
        self.memory: dict[int, Tensor] = {}

    def rows(self, number: int, count: int, like: Tensor, channels: int) -> Tensor:
        """Return (count, w, channels) for rows (n, w, c) such as `like`; contents undefined."""
        width = like.shape[1]
        needed = count * width * channels
        memory = self.memory.get(number)
        if memory is None or memory.numel() < needed:
            memory = self.memory[number] = like.new_empty(needed)
        return memory[:needed].view(count, width, channels)


class DenseLayers:
    """The layers of one dense block; `channels` of its input and of all layers but the last."""

    def __init__(self, block: Any) -> None:
        layers: list[nn.Conv2d] = [getattr(block, f"conv{n}") for n in range(1, _LAYERS + 1)]
        self.channels = [layers[0].in_channels, *(layer.out_channels for layer in layers[:-1])]
        self.packed = [
            Packed(layer, self.channels[:number]) for number, layer in enumerate(layers, start=1)
        ]
        # Numbers that are remembered for each pixel of width.
        self.remembered = sum(
            rows * channels for rows, channels in zip(_REMEMBERED, self.channels, strict=True)
        )


class DenseBlock:
    """Five layers, each of which reads the block's input and all layers before it.

    Each layer ends a row above the one that it reads, so a step of two rows works on a staircase:

        input   ■ ■ ■ ■ ■ ■ □ □     ■ remembered, □ new
        conv1   ■ ■ ■ ■ ■ □ □
        conv2   ■ ■ ■ ■ □ □
        conv5   □ □                 what the step gives back

    `ends` counts the rows of the input and of each layer that are complete. What is remembered are,
    from the row before the last layer's end on, the complete rows of all but the last: in `memory`,
    which is the block's own from the start.
    """

    def __init__(self, layers: DenseLayers, scratch: Scratch, memory: Tensor) -> None:
        self.layers = layers
        self.scratch = scratch
        self.ends = [0] * (_LAYERS + 1)
        self.counts = [0] * _LAYERS  # remembered rows
        width = memory.numel() // layers.remembered
        sizes = [rows * width * c for rows, c in zip(_REMEMBERED, layers.channels, strict=True)]
        self.seen = [
            part.view(-1, width, channels)
            for part, channels in zip(memory.split(sizes), layers.channels, strict=True)
        ]

    def push(self, rows: Tensor, last: bool) -> Tensor:
        new = to_row_layout(rows)
        first = self.ends[_LAYERS] - 1  # the image's row that is row 0 of all features
        features = self.gathered(new, last)
        self.ends[0] += len(new)
        for number in range(1, _LAYERS):
            made = self.computed(features, number, first, last)
            end = self.ends[number] - first
            kept = features[number][end - len(made) : end]
            torch.ops.aten.leaky_relu.out(made, SLOPE, out=kept)
        made = self.computed(features, _LAYERS, first, last)
        result = torch.add(features[0][1 : 1 + len(made)], made, alpha=SHARE)
        if not last:
            self.remember(features, first)
        return to_channel_layout(result)

    def remember(self, features: list[Tensor], first: int) -> None:
        """Keep what the next rows need."""
        start = self.ends[_LAYERS] - 1 - first
        for number, part in enumerate(features):
            rows = part[start : self.ends[number] - first]
            self.counts[number] = len(rows)
            self.seen[number][: len(rows)] = rows

    def gathered(self, new: Tensor, last: bool) -> list[Tensor]:
        """Return (n, w, c) of the input and of each layer but the last: remembered rows, then room
        for the new ones, which the input has; zeros past the borders.
        """
        top = self.counts[0] or 1
        height = top + len(new)
        made = []
        for number, (count, seen) in enumerate(zip(self.counts, self.seen, strict=True)):
            part = self.scratch.rows(number, height + last, new, seen.shape[2])
            if count:
                part[:count] = seen[:count]
            else:
                part[0] = 0
            part[height:] = 0
            made.append(part)
        made[0][top:height] = new
        return made

    def computed(self, features: list[Tensor], number: int, first: int, last: bool) -> Tensor:
        """Return the next rows (n, w, c) of a layer, before its activation; n may be 0."""
        layer = self.layers.packed[number - 1]
        start = self.ends[number]
        end = self.ends[0] if last else max(start, self.ends[number - 1] - 1)
        self.ends[number] = end
        if end == start:
            return features[0].new_empty(0, features[0].shape[1], layer.layer.out_channels)
        read = slice(start - 1 - first, end + 1 - first)
        return to_row_layout(layer(*(to_channel_layout(part[read]) for part in features[:number])))


class Unshuffled:
    """Squares of `factor` pixels as channels; rows come in multiples of `factor`."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def push(self, rows: Tensor, last: bool) -> Tensor:  # noqa: ARG002 - a Stage's signature
        made = pixel_unshuffle(rows, self.factor)
        return made.contiguous(memory_format=torch.channels_last)


class Around:
    """The first layer, and what the body makes of it added.

    The layer is computed again for the rows that the body has completed: of the hundreds of rows
    between, only the three channels of the image are remembered.
    """

    def __init__(self, first: Packed, body: Stage) -> None:
        self.branch = Chain([Convolution(first), body])
        self.again = Convolution(first)
        self.delay = Delay()
        self.come = 0  # rows of the image
        self.seen = 0  # rows of them that `again` was given
        self.done = 0  # rows of the result

    def push(self, rows: Tensor, last: bool) -> Tensor:
        self.delay.put(rows)
        self.come += rows.shape[2]
        made = self.branch.push(rows, last)
        self.done += made.shape[2]
        # The layer lags a row behind the image, up to the image's end.
        needed = min(self.done + 1, self.come) - self.seen if self.done else 0
        self.seen += needed
        return made.add_(self.again.push(self.delay.take(needed), last))


def make_rrdb_stages(network: Any) -> StageMaker:
    """Return the stages of an RRDB network; with pixel unshuffle it takes rows in multiples."""
    dense = [
        [DenseLayers(part) for part in (block.rdb1, block.rdb2, block.rdb3)]
        for block in network.body
    ]
    first, after = Packed(network.conv_first), Packed(network.conv_body)
    doubling = [
        Packed(layer) for name, layer in network.named_children() if name.startswith("conv_up")
    ]
    unshuffle = getattr(network, "unshuffle", None) or {2: 2, 1: 4}.get(network.scale, 1)
    rest, ending = Packed(network.conv_hr), Packed(network.conv_last)

    def stages(size: Size) -> Stage:
        scratch = Scratch()
        like = network.conv_first.weight
        width = size.width // unshuffle
        # For all blocks at once, before anything else is allocated and freed.
        numbers = sum(layers.remembered for block in dense for layers in block)
        memory = iter(like.new_empty(numbers * width).split(dense[0][0].remembered * width))
        body: list[Stage] = [
            Residual(Chain([DenseBlock(layers, scratch, next(memory)) for layers in block]), SHARE)
            for block in dense
        ]
        large: list[Stage] = [
            *(Convolution(layer, make_leaky_relu(SLOPE), enlarge=2) for layer in doubling),
            Convolution(rest, make_leaky_relu(SLOPE)),
            Convolution(ending),
        ]
        small: list[Stage] = [Unshuffled(unshuffle)] if unshuffle > 1 else []
        around = Around(first, Chain([*body, Convolution(after)]))
        return Chain([*small, around, RowLimiter(Chain(large), _LARGE_ROWS)])

    return stages
