"""Colour around a network that knows only luma: luma by the network, chroma by bicubic.

Source: ITU-R BT.601-7, section 2.5; the resampling is that of MATLAB's `imresize` (Keys, "Cubic
Convolution Interpolation for Digital Image Processing", 1981), with which such networks are trained
and measured.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_shuffle

from superres.model_spec import StateDict

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # shares of the primaries in BT.601 luma
BLACK, RANGE = 16 / 255, 219 / 255  # studio range: 8-bit luma 16..235


class LumaNetwork(nn.Module):
    """`(n, 1, h, w)` studio-range luma, 16/255..235/255, to `(n, 1, scale·h, scale·w)`."""

    scale: int


class LumaUpscaler(nn.Module):
    """`(n, 3, h, w)` RGB in 0..1 to `(n, 3, scale·h, scale·w)`, `scale` that of `network`.

    Chroma travels as R-Y and B-Y, which are Cr and Cb but for constant factors: those cancel, and
    grey has exactly none, so that grey in gives exactly R = G = B out. Nothing is rounded between.
    A tile must see what `network` must, and at least 2 pixels, the reach of the bicubic.
    """

    def __init__(self, network: LumaNetwork) -> None:
        super().__init__()
        self.network = network
        self.bicubic = BicubicUpscaler(network.scale)

    def forward(self, x: Tensor) -> Tensor:
        luma, chroma = split_luma_chroma(x)
        return join_luma_chroma(self.network(luma), self.bicubic(chroma))


def split_luma_chroma(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the studio-range luma (n, 1, h, w) and the chroma (n, 2, h, w), R-Y and B-Y,
    of RGB.
    """
    red, green, blue = x.split(1, dim=1)
    luma = green + RED * (red - green) + BLUE * (blue - green)
    return luma * RANGE + BLACK, torch.cat([red - luma, blue - luma], dim=1)


def join_luma_chroma(luma: Tensor, chroma: Tensor) -> Tensor:
    """RGB (n, 3, h, w) in 0..1 of what `split_luma_chroma` gives."""
    red, blue = chroma.split(1, dim=1)
    green = (RED * red + BLUE * blue) / -GREEN
    full = (luma - BLACK) / RANGE
    return torch.cat([red, green, blue], dim=1).add_(full).clamp_(0, 1)


class ReducedNetwork(LumaNetwork):
    """`(n, 1, h, w)` luma to `(n, 1, scale·h, scale·w)` by a `network` of a larger scale.

    Its result is reduced by antialiased bicubic: LapSRN's authors make x3 from x4 so. `h` and `w`
    may be any. For x3 from LapSRN x4 the exact overlap is 18; 8 keeps within one 8-bit step, both
    measured with the published weights. The peak memory is that of `network`.
    """

    def __init__(self, network: LumaNetwork, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.network = network
        self.bicubic = BicubicUpscaler(scale, network.scale)

    def forward(self, x: Tensor) -> Tensor:
        reduced: Tensor = self.bicubic(self.network(x))
        return reduced


class BicubicUpscaler(nn.Module):
    """`(n, c, down·h, down·w)` to `(n, c, up·h, up·w)` as MATLAB's `imresize`: a = -0.5,
    antialiased where it reduces, borders mirrored.

    Output pixels of equal phase share their weights: each phase is a channel of one convolution.
    """

    taps: Tensor

    def __init__(self, up: int, down: int = 1) -> None:
        super().__init__()
        self.up, self.down = up, down
        self.first, line = phase_taps(up, down)
        square = torch.einsum("ay,bx->abyx", line, line).flatten(0, 1)[:, None]
        self.register_buffer("taps", square.float(), persistent=False)

    @property
    def reach(self) -> tuple[int, int]:
        """How many pixels before and behind its own a place reads."""
        return -self.first, self.first + int(self.taps.shape[-1]) - self.down

    def forward(self, x: Tensor) -> Tensor:
        return self.within(mirror_pad(x, 2, *self.reach))

    def within(self, x: Tensor) -> Tensor:
        """Compute the result of all rows of `x` but those that are there to be read, above and
        below.
        """
        padded = mirror_pad(x, 3, *self.reach)
        alone = padded.flatten(0, 1)[:, None]  # (n·c, 1, …): every channel by itself
        phases = conv2d(alone, self.taps.to(x.dtype), stride=self.down)
        enlarged: Tensor = pixel_shuffle(phases, self.up).unflatten(0, x.shape[:2]).squeeze(2)
        return enlarged


def mirror_pad(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Return `x` with `before` and `after` more entries along `dim`: the border is repeated, then
    back.

    Unlike `torch.nn.functional.pad` it repeats the outermost entry and turns as often as needed.
    """
    length = x.shape[dim]
    index = torch.arange(-before, length + after, device=x.device) % (2 * length)
    return x.index_select(dim, torch.minimum(index, 2 * length - 1 - index))


def phase_taps(up: int, down: int) -> tuple[int, Tensor]:
    """Return the first pixel read, and (up, taps) weights for the `up` outputs of `down` inputs."""
    stretch = max(down / up, 1.0)
    centre = (torch.arange(up, dtype=torch.float64) + 0.5) * down / up - 0.5
    first = math.ceil(centre[0].item() - 2 * stretch)
    last = math.floor(centre[-1].item() + 2 * stretch)
    weights = cubic((torch.arange(first, last + 1) - centre[:, None]) / stretch)
    return first, weights / weights.sum(1, keepdim=True)


def cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5, zero from a distance of 2."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


def wrap_keys(state: StateDict, wrappers: int = 1) -> StateDict:
    """Return `state` of a network with the keys of `wrappers` modules here, one around another."""
    return {"network." * wrappers + key: tensor for key, tensor in state.items()}
