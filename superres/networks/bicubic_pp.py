"""Bicubic++: the fastest network here, working at half the input's resolution.

Source: Bilecen and Ayazoglu, "Bicubic++: Slim, Slimmer, Slimmest", CVPRW 2023, section 3.
"""

from torch import Tensor, nn

from superres.networks.subpixel import compute_sorted_levels


class BicubicPPNetwork(nn.Module):
    """`(n, 3, h, w)` RGB in 0..1, `h` and `w` even, to `(n, 3, scale·h, scale·w)`.

    A stride-2 convolution halves the resolution, two 3×3 layers with one skip work there, and a
    pixel shuffle by `2·scale` comes back. No layer has a bias, so the network is positively
    homogeneous: a darker image gives exactly the darker result.
    """

    def __init__(self, scale: int, channels: int = 32) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv_out = nn.Conv2d(channels, 3 * (2 * scale) ** 2, 3, padding=1, bias=False)
        self.shuffle = nn.PixelShuffle(2 * scale)
        self.act = nn.LeakyReLU(0.1, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shuffle(self.conv_out(self.features(x)))
        return out

    def subpixels(self, x: Tensor, levels: float) -> Tensor:
        """Return (n, 12·scale², h/2, w/2) in 0..`levels`, channels by row, column and colour."""
        return compute_sorted_levels(self.features(x), self.conv_out, levels)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads: (n, channels, h/2, w/2)."""
        half = self.act(self.conv0(x))
        y = self.act(self.conv1(half))
        features: Tensor = self.act(self.conv2(y)).add_(half)
        return features
