"""The last layer of a network that ends in a pixel shuffle, in the order of the image's bytes.

A shuffle of floats and a conversion to whole numbers move the largest tensor of all several times.
Where the layer's channels are sorted by row, column and colour, and it gives levels instead of
shares, whole numbers are made first, of contiguous memory, and the shuffle moves a quarter of the
bytes in runs of `factor` pixels.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn.functional import conv2d

COLOUR_CHANNELS = 3


@runtime_checkable
class SubpixelNetwork(Protocol):
    """A network whose result can be had before its shuffle."""

    def subpixels(self, x: Tensor, levels: float, *grids: Tensor) -> Tensor:
        """Return (n, factor²·3, h, w) in 0..`levels`, channels by row, column and colour."""
        ...


def compute_sorted_levels(x: Tensor, layer: nn.Conv2d, levels: float) -> Tensor:
    """Return `layer`, which keeps the size, of `x` times `levels`, channels by row, column and
    colour.

    The layer has them by colour, row and column, as a pixel shuffle takes them.
    """
    bias = None if layer.bias is None else _sort_by_position(layer.bias) * levels
    return conv2d(x, _sort_by_position(layer.weight) * levels, bias, padding=layer.padding)


def _sort_by_position(values: Tensor) -> Tensor:
    """Return `values` (3·places, …), of a colour's places after another's, colour by colour at a
    place.
    """
    places = values.shape[0] // COLOUR_CHANNELS
    by_colour = values.view(COLOUR_CHANNELS, places, *values.shape[1:])
    return by_colour.transpose(0, 1).reshape(values.shape)


def shuffle_pixels(values: Tensor, factor: int) -> Tensor:
    """Return (n, factor²·3, h, w) in channels_last, by row, column and colour, as (n, factor·h,
    factor·w, 3), contiguous.
    """
    n, _, h, w = values.shape
    places = values.permute(0, 2, 3, 1).reshape(n, h, w, factor, factor * COLOUR_CHANNELS)
    return places.transpose(2, 3).reshape(n, h * factor, w * factor, COLOUR_CHANNELS)
