"""DIPNet: a small residual network with spatial attention, made by distillation and pruning.

Source: Yu et al., "DIPNet: Efficiency Distillation and Iterative Pruning for Image
Super-Resolution", CVPRW 2023; channel counts are those of the published weights.
"""

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, max_pool2d

from superres.networks.subpixel import compute_sorted_levels

SCALE = 4
SLOPE = 0.05
MIN_SIDE = 15  # below it the attention's pooling window does not fit


class SpatialAttention(nn.Module):
    """Enhanced spatial attention (ESA): a mask from a grid six times coarser than the image.

    The grid counts from the image's left top corner and its interpolation from the image's
    size, so the mask of a tile differs from the same place in the whole image.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.conv_f = nn.Conv2d(width, width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.conv4 = nn.Conv2d(width, channels, 1)

    def pool(self, near: Tensor) -> Tensor:
        """Return the cells of the grid before its last layer; cell i reads the pixels 6·i to 6·i +
        14.
        """
        return max_pool2d(self.conv2(near), 7, stride=3)

    def forward(self, x: Tensor, grid: Tensor | None = None) -> Tensor:
        """Return `x` masked; `grid` is that of a larger image, interpolated to the pixels
        of `x`.
        """
        near = self.conv1(x)
        if grid is None:
            grid = self.conv3(self.pool(near))
            grid = interpolate(grid, x.shape[2:], mode="bilinear", align_corners=False)
        mask: Tensor = self.conv4(self.conv_f(near).add_(grid)).sigmoid_()
        return x * mask


class Block(nn.Module):
    """Three 3×3 layers around a skip, a 1×1 layer, and the attention mask."""

    def __init__(self, channels: int, middle: int, attention: int) -> None:
        super().__init__()
        self.c1_r = nn.Conv2d(channels, middle, 3, padding=1, bias=False)
        self.c2_r = nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.c3_r = nn.Conv2d(middle, channels, 3, padding=1, bias=False)
        self.c5 = nn.Conv2d(channels, channels, 1, bias=False)
        self.esa = SpatialAttention(channels, attention)

    def compute_unmasked(self, x: Tensor) -> Tensor:
        """Return what the attention reads and masks."""
        y = leaky_relu(self.c1_r(x), SLOPE, inplace=True)
        y = leaky_relu(self.c2_r(y), SLOPE, inplace=True)
        y = leaky_relu(self.c3_r(y), SLOPE, inplace=True).add_(x)
        out: Tensor = self.c5(y)
        return out

    def forward(self, x: Tensor, grid: Tensor | None = None) -> Tensor:
        masked: Tensor = self.esa(self.compute_unmasked(x), grid)
        return masked


class DIPNetNetwork(nn.Module):
    """`(n, 3, h, w)` RGB in 0..1, sides of at least 15, to `(n, 3, 4·h, 4·w)`.

    With the grids of a larger image it computes a part of it (networks/global_grid.py).
    """

    grid_stride = 6
    block_count = 4

    def __init__(self, channels: int = 44, middle: int = 38, attention: int = 16) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        for number in range(1, self.block_count + 1):
            self.add_module(f"block_{number}", Block(channels, middle, attention))
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.upsampler = nn.Sequential(
            nn.Conv2d(channels, 48, 3, padding=1, bias=False), nn.PixelShuffle(SCALE)
        )

    def get_block(self, number: int) -> Block:
        """Block `number`, from 0."""
        found = self.get_submodule(f"block_{number + 1}")
        assert isinstance(found, Block)
        return found

    def forward(self, x: Tensor, *grids: Tensor) -> Tensor:
        out: Tensor = self.upsampler(self.compute_features(x, *grids))
        return out

    def subpixels(self, x: Tensor, levels: float, *grids: Tensor) -> Tensor:
        """Return (n, 48, h, w) in 0..`levels`, channels by row, column and colour."""
        return compute_sorted_levels(self.compute_features(x, *grids), self.last_layer, levels)

    @property
    def last_layer(self) -> nn.Conv2d:
        """The layer before the shuffle."""
        layer = self.upsampler[0]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def compute_features(self, x: Tensor, *grids: Tensor) -> Tensor:
        """Return what the last layer reads: (n, channels, h, w)."""
        first = self.conv_1(x)
        y = first
        for number in range(self.block_count):
            y = self.get_block(number)(y, grids[number] if grids else None)
        features: Tensor = self.conv_2(y).add_(first)
        return features

    def count_cells(self, length: int) -> int:
        """Return how many cells of the attention's grid lie along a side of `length` pixels."""
        return ((length - 3) // 2 - 6) // 3 + 1

    def pool_cells(self, x: Tensor, *grids: Tensor) -> Tensor:
        """Return the pooled cells of block `len(grids)` in `x`, given the grids of the blocks
        before.
        """
        y = self.conv_1(x)
        for number, grid in enumerate(grids):
            y = self.get_block(number)(y, grid)
        block = self.get_block(len(grids))
        return block.esa.pool(block.esa.conv1(block.compute_unmasked(y)))

    def compute_grid(self, block: int, pooled: Tensor) -> Tensor:
        """Return the grid of a block from its pooled cells."""
        made: Tensor = self.get_block(block).esa.conv3(pooled)
        return made
