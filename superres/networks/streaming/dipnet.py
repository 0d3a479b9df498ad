"""DIPNet row by row, in one pass over the image for each of its blocks and a last one.

The attention of a block reads a grid pooled from the whole image, so a block must have seen all
rows before the first can be masked. Between passes only what the masks apply to is held, 60
channels of the network's 300 and more; masking belongs to the pass that follows, so every layer is
computed once, in the caches.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pixel_shuffle

from superres.geometry import Size
from superres.networks.dipnet import SCALE, SLOPE, Block, DIPNetNetwork
from superres.networks.global_grid import make_bilinear_weights
from superres.networks.streaming.packed_conv import Packed
from superres.networks.streaming.stages import (
    Chain,
    Convolution,
    Residual,
    Stage,
    StageMaker,
    make_leaky_relu,
    to_channel_layout,
    to_row_layout,
)

activated = make_leaky_relu(SLOPE)


class Layers:
    """The layers of the network, ready."""

    def __init__(self, network: DIPNetNetwork) -> None:
        self.blocks = [network.get_block(number) for number in range(network.block_count)]
        self.packed = [
            [Packed(layer) for layer in (block.c1_r, block.c2_r, block.c3_r)]
            for block in self.blocks
        ]
        self.first = Packed(network.conv_1)
        self.after = Packed(network.conv_2)
        self.last = Packed(network.last_layer)


class Unmasked:
    """A block up to its attention."""

    def __init__(self, layers: Layers, number: int) -> None:
        packed = layers.packed[number]
        self.branch = Residual(Chain([Convolution(layer, activated) for layer in packed]))
        self.mixing = layers.blocks[number].c5

    def push(self, rows: Tensor, last: bool) -> Tensor:
        return _mix_channels(self.branch.push(rows, last), self.mixing)


class Mask:
    """The attention of a block, whose cells are known, for the rows of an image of `size`."""

    def __init__(self, block: Block, near: Tensor, size: Size) -> None:
        self.attention = block.esa
        self.near = near
        self.size = size
        pooled = block.esa.pool(to_channel_layout(near))
        grid = block.esa.conv3(pooled)[0].float()  # (c, cells down, cells across)
        across = make_bilinear_weights(size.width, grid.shape[2], 0, size.width).to(grid.device)
        self.grid = torch.einsum("cyx,wx->ywc", grid, across).contiguous()

    def masked(self, x: Tensor, top: int) -> Tensor:
        """Return `x` (1, c, n, w), which is the image's rows from `top` on."""
        bottom = top + x.shape[2]
        weights = make_bilinear_weights(self.size.height, len(self.grid), top, bottom)
        used = weights.any(0).nonzero()[:, 0]
        first, last = int(used[0]), int(used[-1]) + 1
        weights = weights[:, first:last].to(self.grid.device)
        cells = self.grid[first:last]
        grid = (weights @ cells.flatten(1)).view(-1, *cells.shape[1:]).to(x.dtype)
        near = _mix_channels(to_channel_layout(self.near[top:bottom]), self.attention.conv_f)
        return (
            x * _mix_channels(near.add_(to_channel_layout(grid)), self.attention.conv4).sigmoid_()
        )


class Passes:
    """The passes over one image; each is given all of its rows. Only the last gives any back."""

    def __init__(self, layers: Layers, size: Size) -> None:
        self.layers = layers
        self.size = size
        self.number = 0  # of the pass
        self.read = self.written = 0  # rows of the pass
        self.features = self.near = torch.empty(0)  # (h, w, c): unmasked, and what grids come from
        self.mask: Mask | None = None
        self.first = Convolution(layers.first)
        self.block: Stage = Unmasked(layers, 0)

    def push(self, rows: Tensor, last: bool) -> Tensor:
        masked = self.masked(rows.shape[2]) if self.mask else None
        first = self.first.push(rows, last) if self.number in (0, len(self.layers.blocks)) else None
        if masked is None:
            assert first is not None
            self.keep(self.block.push(first, last))
        elif first is None:
            self.keep(self.block.push(masked, last))
        else:
            features = self.block.push(masked, last).add_(first)
            return pixel_shuffle(self.ending.push(features, last), SCALE)
        if last:
            self.end_pass()
        return rows.new_empty(1, rows.shape[1], 0, rows.shape[3] * SCALE)

    def masked(self, count: int) -> Tensor:
        """Return the next `count` rows of the features, masked."""
        assert self.mask is not None
        top = self.read
        self.read += count
        return self.mask.masked(to_channel_layout(self.features[top : self.read]), top)

    def keep(self, unmasked: Tensor) -> None:
        """Store the next rows of a block, which lag behind those read: both share their place."""
        rows = to_row_layout(unmasked)
        near = to_row_layout(_mix_channels(unmasked, self.layers.blocks[self.number].esa.conv1))
        if not self.number and not self.written:
            self.features = rows.new_empty(self.size.height, *rows.shape[1:])
            self.near = near.new_empty(self.size.height, *near.shape[1:])
        bottom = self.written + len(rows)
        self.features[self.written : bottom] = rows
        self.near[self.written : bottom] = near
        self.written = bottom

    def end_pass(self) -> None:
        """Compute the grid of a block, once all of its rows are known."""
        self.mask = Mask(self.layers.blocks[self.number], self.near, self.size)
        self.number += 1
        self.read = self.written = 0
        if self.number < len(self.layers.blocks):
            self.block = Unmasked(self.layers, self.number)
            return
        self.first = Convolution(self.layers.first)
        self.block = Convolution(self.layers.after)
        self.ending = Convolution(self.layers.last)


def make_dipnet_stages(network: DIPNetNetwork) -> StageMaker:
    """Return the stages of DIPNet, to be given all rows of an image in each of its passes."""
    layers = Layers(network)
    return lambda size: Passes(layers, size)


def _mix_channels(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return `layer`, which is 1×1, of `x`: as a matrix product, which PyTorch does faster."""
    return to_channel_layout(linear(to_row_layout(x), layer.weight[:, :, 0, 0], layer.bias))
