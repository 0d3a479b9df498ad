"""Colours of the diffusion model's result, taken from its input."""

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

__all__ = ["keep_colours"]

BLUR = 8  # input pixels around each whose mean colour is kept


def keep_colours(image: Tensor, source: Tensor) -> None:
    """Give areas of `image` (3, s·h, s·w) the mean colour they have in `source` (3, h, w).

    Details smaller than about 17 input pixels stay as they are. Both are in 0..1.
    """
    scale = image.shape[-1] // source.shape[-1]
    drift = source - avg_pool2d(image[None], scale)[0]
    for _ in range(2):  # twice a box is nearly a bell
        drift = avg_pool2d(drift, 2 * BLUR + 1, 1, BLUR, count_include_pad=False)
    for channel, wrong in zip(image, drift, strict=True):
        channel.add_(interpolate(wrong[None, None], channel.shape, mode="bilinear")[0, 0])
