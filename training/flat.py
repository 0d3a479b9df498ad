"""Bicubic++ that starts as bicubic and can never tint a flat patch.

Two facts make this possible: the network has no bias, and a 3×3 neighbourhood at half resolution
sees all 6×6 pixels that bicubic interpolation of its 2×2 pixels reads.

*Start.* Twelve first-layer channels copy the 2×2 pixels × 3 colours (pixels are never negative, so
the activation lets them pass), and the last layer holds the bicubic taps. Training starts at the
PSNR of bicubic instead of at noise.

*Flatness.* Every filter of `conv1` sums to zero, so on a flat patch the trunk adds nothing. The
first layer's sums are not negative, so there it is linear, and the last layer is shifted by the
least change that maps these sums back to the colour. Weights carry the property; the exported
network is a plain Bicubic++.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pixel_shuffle

from superres.image.imresize import cubic
from superres.networks.bicubic_pp import BicubicPPNetwork

COPIES = 12  # 2×2 pixels × 3 colours


class FlatExact(nn.Module):
    """Free parameters behind the weights of a Bicubic++ that keeps flat colours."""

    def __init__(self, scale: int, channels: int = 32) -> None:
        super().__init__()
        self.scale = scale
        plain = BicubicPPNetwork(scale, channels)
        with torch.no_grad():
            plain.conv0.weight[:COPIES] = copying_filters()
            plain.conv2.weight *= 0.1
            plain.conv_out.weight *= 0.1
            plain.conv_out.weight[:, :COPIES] = bicubic_filters(scale)
        self.free = nn.ParameterDict(
            {name.removesuffix(".weight"): value for name, value in plain.state_dict().items()}
        )

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the plain network that these parameters stand for."""
        w0, w1, w2, out = (self.free[name] for name in ("conv0", "conv1", "conv2", "conv_out"))
        sums = w0.mean(dim=(2, 3), keepdim=True)
        w0 = w0 - sums + sums.clamp(min=0)
        w1 = w1 - w1.mean(dim=(2, 3), keepdim=True)
        flat = w0.sum(dim=(2, 3))  # (channels, 3): what a flat colour becomes
        colours = torch.eye(3, dtype=out.dtype).repeat_interleave((2 * self.scale) ** 2, dim=0)
        missing = colours - out.sum(dim=(2, 3)) @ flat
        shift = missing @ torch.linalg.solve(flat.T @ flat, flat.T) / 9
        out = out + shift[:, :, None, None]
        return {"conv0.weight": w0, "conv1.weight": w1, "conv2.weight": w2, "conv_out.weight": out}

    def forward(self, x: Tensor) -> Tensor:
        """Compute as BicubicPPNetwork, differentiable in the free parameters."""
        w = self.weights()
        half = leaky_relu(conv2d(x, w["conv0.weight"], stride=2, padding=1), 0.1)
        y = leaky_relu(conv2d(half, w["conv1.weight"], padding=1), 0.1)
        y = leaky_relu(conv2d(y, w["conv2.weight"], padding=1), 0.1) + half
        return pixel_shuffle(conv2d(y, w["conv_out.weight"], padding=1), 2 * self.scale)


def copying_filters() -> Tensor:
    """Return (12, 3, 3, 3): channel 4·colour + 2·row + column is that pixel of the 2×2 block."""
    filters = torch.zeros(COPIES, 3, 3, 3)
    for colour in range(3):
        for row in range(2):
            for column in range(2):
                filters[4 * colour + 2 * row + column, colour, 1 + row, 1 + column] = 1
    return filters


def bicubic_filters(scale: int) -> Tensor:
    """Return (3·(2·scale)², 12, 3, 3): the taps by which the copied pixels give bicubic
    interpolation.
    """
    side = 2 * scale
    taps = torch.zeros(side, 6, dtype=torch.float64)  # output pixel, input pixel -2..3
    for position in range(side):
        centre = (position + 0.5) / scale - 0.5
        taps[position] = torch.from_numpy(cubic(torch.arange(-2, 4).double().numpy() - centre))
    phases = taps.float().view(side, 3, 2)  # tap t = 2·block + pixel - 2
    kernel = torch.einsum("yir,xjc->yxrcij", phases, phases)
    filters = torch.zeros(3, side * side, 3, 4, 3, 3)
    for colour in range(3):
        filters[colour, :, colour] = kernel.reshape(side * side, 4, 3, 3)
    return filters.view(3 * side * side, COPIES, 3, 3)
