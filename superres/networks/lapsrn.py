"""LapSRN: a pyramid of x2 levels, each adding learned detail to the image of the level before.

Sources: Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", CVPR
2017, and "Fast and Accurate Image Super-Resolution with Deep Laplacian Pyramid Networks", TPAMI
2019 (MS-LapSRN). Levels are named as in the published weights: level1 is the last, largest one.
"""

from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu, pad

from superres.networks.luma_chroma import LumaNetwork

_CHANNELS = 64
SLOPE = 0.2


class LapSRNNetwork(LumaNetwork):
    """`(n, 1, h, w)` studio-range luma to `(n, 1, scale·h, scale·w)`, `scale` 2, 4 or 8.

    The published depth is 10, for x8 5. `kernel` 4 and no `bias` make the network of the
    MIT-licensed retraining. In colour, measured with the published weights:

    ==========  =============  =====================================  ======================
    scale       exact overlap  least overlap within one 8-bit step    peak per input pixel
    ==========  =============  =====================================  ======================
    2           12             6                                      490 floats, 2.0 kB
    4           17             8 (10 for the retraining)              2,030 floats, 8.1 kB
    8           11             6                                      5,400 floats, 21.6 kB
    ==========  =============  =====================================  ======================

    The peak, here on a CPU in channels_last, is the last doubling: 64 channels before and after it.
    In contiguous order it is twice that, and slower.
    """

    def __init__(self, scale: int, depth: int, *, kernel: int = 3, bias: bool = True) -> None:
        super().__init__()
        self.scale = scale
        self.depth = depth
        self.input_conv = convolution(1, _CHANNELS, bias)
        for level in levels(scale):
            for number in range(1, depth + 1):
                self.add_module(
                    f"level{level}_conv{number}", convolution(_CHANNELS, _CHANNELS, bias)
                )
            self.add_module(f"level{level}_upconv", Doubling(kernel, bias))
            self.add_module(f"level{level}_residual_conv", convolution(_CHANNELS, 1, bias))
            self.add_module(f"level{level}_img_up", _image_doubling())

    def forward(self, x: Tensor) -> Tensor:
        features = leaky_relu(self.input_conv(x), SLOPE, inplace=True)
        for level in levels(self.scale):
            for number in range(1, self.depth + 1):
                features = self.get_submodule(f"level{level}_conv{number}")(features)
                features = leaky_relu(features, SLOPE, inplace=True)
            features = self.get_submodule(f"level{level}_upconv")(features)
            features = leaky_relu(features, SLOPE, inplace=True)
            detail = self.get_submodule(f"level{level}_residual_conv")(features)
            x = self.get_submodule(f"level{level}_img_up")(x).add_(detail)
        return x


class MSLapSRNNetwork(LumaNetwork):
    """`(n, 1, h, w)` studio-range luma to `(n, 1, scale·h, scale·w)`, `scale` 2, 4 or 8.

    Every level has the same weights, so one file serves every scale; within a level the `depth`
    layers run `recursions` times, each time from the sum of their result and the level's input.
    With the published weights (depth 5) in colour, measured but for what is in parentheses, which
    follows from the layers:

    ==========  =============  =====================================  ======================
    scale       exact overlap  least overlap within one 8-bit step    peak per input pixel
    ==========  =============  =====================================  ======================
    2           12, 27, (42)   6, 8, 8 for 2, 5, 8 recursions         550 floats, 2.2 kB
    4           17, (40, 62)   7, 10, 12                              2,030 floats, 8.1 kB
    8           20, (46, 72)   8 for 2                                5,400 floats, 21.6 kB
    ==========  =============  =====================================  ======================
    """

    def __init__(self, scale: int, depth: int = 5, recursions: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.depth = depth
        self.recursions = recursions
        self.input_conv = convolution(1, _CHANNELS)
        for number in range(1, depth + 1):
            self.add_module(f"conv{number}", convolution(_CHANNELS, _CHANNELS))
        self.upconv = Doubling()
        self.residual_conv = convolution(_CHANNELS, 1)
        self.img_up = _image_doubling()

    def forward(self, x: Tensor) -> Tensor:
        features = self.input_conv(x)
        for _ in levels(self.scale):
            features = leaky_relu(self.deepened(features), SLOPE, inplace=True)
            features = self.upconv(features)
            x = self.img_up(x).add_(self.residual_conv(features))
        return x

    def deepened(self, first: Tensor) -> Tensor:
        """Return the features (n, 64, h, w) of one level from those that enter it."""
        features = first
        for _ in range(self.recursions):
            for number in range(1, self.depth + 1):
                # `first` is still needed: only what a layer here made may be overwritten.
                features = leaky_relu(features, SLOPE, inplace=features is not first)
                features = self.get_submodule(f"conv{number}")(features)
            features = features.add_(first)
        return features


class Doubling(nn.Module):
    """Features (n, 64, h, w) to (n, 64, 2·h, 2·w) by a transposed convolution.

    With a `kernel` of 3 the authors compute one row and column too many and drop the last. A first
    row and column of zeros in the kernel give the same without a copy of the largest tensor, at
    half the time and memory.
    """

    def __init__(self, kernel: int = 3, bias: bool = True) -> None:
        super().__init__()
        layer = nn.ConvTranspose2d(_CHANNELS, _CHANNELS, kernel, bias=bias)
        self.weight, self.bias = layer.weight, layer.bias
        self.missing = 4 - kernel

    def forward(self, x: Tensor) -> Tensor:
        return conv_transpose2d(x, self.widened(), self.bias, stride=2, padding=1)

    def widened(self) -> Tensor:
        """Return the kernel (64, 64, 4, 4)."""
        return pad(self.weight, (self.missing, 0, self.missing, 0))


def convolution(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """Return a 3×3 layer that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _image_doubling() -> nn.ConvTranspose2d:
    """Return the learned interpolation of the image itself, (n, 1, h, w) to (n, 1, 2·h, 2·w)."""
    return nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)


def levels(scale: int) -> range:
    """Return the numbers of the x2 levels that make `scale`, from the smallest image to the
    largest.
    """
    assert scale in {2, 4, 8}, f"scale {scale}: the pyramid makes 2, 4 or 8"
    return range(scale.bit_length() - 1, 0, -1)
