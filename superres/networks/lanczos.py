"""Lanczos-3 interpolation as a network: nothing learned; the baseline and the test double.

Source: Duchon, "Lanczos Filtering in One and Two Dimensions", J. Applied Meteorology 18, 1979.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

_TAPS = 6  # Lanczos-3 reads three pixels on either side of a position
_REACH = _TAPS // 2


class LanczosNetwork(nn.Module):
    """`(n, 3, h, w)` to `(n, 3, scale·h, scale·w)`; borders are repeated."""

    phases: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("phases", phase_taps(scale), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarge(self.enlarge(x).transpose(2, 3)).transpose(2, 3).clamp(0, 1)

    def enlarge(self, x: Tensor) -> Tensor:
        """Return `x` (n, c, h, w) with its rows `scale` times longer."""
        n, c, h, w = x.shape
        padded = pad(x.reshape(n * c, 1, h, w), (_REACH, _REACH, 0, 0), mode="replicate")
        # One output per phase at TAPS + 1 pixels: the taps of early phases lie further left.
        phases = conv2d(padded, self.phases.to(x.dtype)[:, None, None])
        return phases.permute(0, 2, 3, 1).reshape(n, c, h, w * self.scale)


def phase_taps(scale: int) -> Tensor:
    """Return (scale, 7) weights of pixels -3..3 for the output pixels of one input pixel."""
    offset = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    distance = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64) - offset[:, None]
    weights = torch.sinc(distance) * torch.sinc(distance / _REACH)
    weights[distance.abs() >= _REACH] = 0
    return (weights / weights.sum(1, keepdim=True)).float()
