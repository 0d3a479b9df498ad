"""Pixels to a network's numbers and back: scaled, rounded, clamped and cropped on the device."""

from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from superres.geometry import Box
from superres.networks.subpixel import COLOUR_CHANNELS, shuffle_pixels

if TYPE_CHECKING:
    # Its file formats take libraries that a machine for computing alone need not have.
    from superres.image.frame import Pixels

# Numbers of a thread's share of a band: they stay in its cache until they are levels (0.5 MB).
_BAND_VALUES = 2**17


class PixelFormat(NamedTuple):
    """The format of pixels."""

    dtype: np.dtype[Any]  # uint8 or uint16
    channels: int  # 1 or 3

    @property
    def max_level(self) -> int:
        """The highest level."""
        return 65535 if self.dtype == np.uint16 else 255

    def to_channels(self, values: Tensor) -> Tensor:
        """Return a network's RGB (n, 3, h, w) in as many channels: grey is their mean."""
        return values if self.channels == COLOUR_CHANNELS else values.float().mean(1, keepdim=True)

    @classmethod
    def of(cls, pixels: "Pixels") -> "PixelFormat":
        """Return the format of pixels (h, w, 1 or 3)."""
        return cls(pixels.dtype, pixels.shape[2])


# Numbers


def to_tensor(pixels: "Pixels", device: torch.device) -> Tensor:
    """Return (h, w, 1 or 3) integers as (1, 3, h, w) fp32 in 0..1, scaled on the device."""
    if pixels.dtype == np.uint16 and device.type == "mps":
        raw = torch.from_numpy(pixels.astype(np.int32))
    else:
        # PyTorch warns of memory that may not be written.
        raw = torch.from_numpy(np.require(pixels, requirements="W"))
    return scale_to_unit(raw.to(device)[None])


def scale_to_unit(raw: Tensor) -> Tensor:
    """Levels (n, h, w, 1 or 3) as (n, 3, h, w) fp32 in 0..1, channels last in memory."""
    full = 255 if raw.dtype == torch.uint8 else 65535
    return raw.permute(0, 3, 1, 2).float().div_(full).expand(-1, COLOUR_CHANNELS, -1, -1)


def to_pixels(x: Tensor, dtype: np.dtype[Any], channels: int) -> "Pixels":
    """Return (1, 3, h, w) in 0..1 as (h, w, channels) integers of `dtype`, rounded and clamped."""
    kind = PixelFormat(dtype, channels)
    return to_host(quantize(kind.to_channels(x), kind.max_level, dtype)[0][0])


def to_host(levels: Tensor) -> "Pixels":
    """Return (h, w, c) levels as an array."""
    pixels: Pixels = levels.cpu().numpy()
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels


def quantize(values: Tensor, gain: float, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """Return `values` (n, c, h, w) times `gain` as levels (n, h, w, c), rounded and clamped; which
    of the n are finite (n,), for of the others the levels mean nothing.
    """
    if values.device.type == "cpu":
        return _quantize_in_bands(values, gain, dtype)
    # A sum is finite only where all that is summed is, and costs one pass.
    finite = values.sum((1, 2, 3), dtype=torch.float32).isfinite()
    full = PixelFormat(dtype, COLOUR_CHANNELS).max_level
    exact = values.dtype == torch.float16 and full == 255
    values = values if exact else values.float()
    levels = (values if gain == 1 else values * gain).round().clamp_(0, full)
    return levels.to(_choose_storage_dtype(dtype, values.device)).permute(
        0, 2, 3, 1
    ).contiguous(), finite


def _quantize_in_bands(values: Tensor, gain: float, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """Quantize a few rows at a time: every step but the first works in the cache.

    At 3840×360 on one core that takes a fifth of the time of separate passes.
    """
    if values.shape[1] > 1 and values.stride(1) != 1:
        values = values.contiguous(memory_format=torch.channels_last)
    rows = values.permute(0, 2, 3, 1)
    count, height, width, channels = rows.shape
    levels = torch.empty(rows.shape, dtype=_choose_storage_dtype(dtype, values.device))
    sums = torch.zeros(count)
    band = max(_BAND_VALUES * torch.get_num_threads() // (width * channels), 1)
    scratch = torch.empty(min(band, height), width, channels)
    full = PixelFormat(dtype, channels).max_level
    for number in range(count):
        for top in range(0, height, band):
            source = rows[number, top : top + band]
            part = torch.mul(source.float(), gain, out=scratch[: len(source)])
            sums[number] += part.sum()
            levels[number, top : top + band] = part.round_().clamp_(0, full)
    return levels, sums.isfinite()


def _choose_storage_dtype(dtype: np.dtype[Any], device: torch.device) -> torch.dtype:
    """Return what holds levels of `dtype` on a device."""
    if dtype == np.uint8:
        return torch.uint8
    return torch.int32 if device.type == "mps" else torch.uint16


def crop_output(levels: Tensor, keep: Box) -> Tensor:
    """Crop to `keep` (output pixels), shuffling pixels first where `levels` is still unshuffled.

    Returns the pixels (h, w, c), contiguous.
    """
    factor = count_pixels_per_side(levels.shape[2])
    places, rest = snap_to_grid(keep, factor)
    levels = levels[places.top : places.bottom, places.left : places.right]
    if factor > 1:
        levels = shuffle_pixels(levels[None].permute(0, 3, 1, 2), factor)[0]
    return levels[rest.top : rest.bottom, rest.left : rest.right].contiguous()


def count_pixels_per_side(channels: int) -> int:
    """Return how many pixels a side one place of `channels` holds."""
    return max(isqrt(channels // COLOUR_CHANNELS), 1)


def snap_to_grid(box: Box, factor: int) -> tuple[Box, Box]:
    """Return the places of `factor`² pixels that `box` touches, and where it lies within those."""
    left, top = box.left // factor, box.top // factor
    places = Box(left, top, -(-box.right // factor), -(-box.bottom // factor))
    across, down = left * factor, top * factor
    return places, Box(box.left - across, box.top - down, box.right - across, box.bottom - down)
