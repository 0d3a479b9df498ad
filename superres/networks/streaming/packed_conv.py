"""3×3 layers for the rows of a stream, which may read several tensors side by side.

On a CPU oneDNN's own operators, which torch.compile uses too, add a convolution's result to
another's in place and take weights in the processor's own order: so a layer of several inputs is a
sum over them, and no tensor of all of them is put together. Measured in RRDB's dense blocks, 1.05
to 1.15 times as fast as slices of one wide tensor, 1.5 times as fast as concatenation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

PADDING, ONES = [0, 1], [1, 1]  # the rows above and below are there to be read
_TYPICAL = (18, 640)  # height and width of what a layer reads; oneDNN asks when it orders weights


class Packed:
    """`layer`, which keeps the width, of the rows (1, c, n + 2, w) in channels_last: n rows.

    `inputs` are the channels of the tensors that it reads side by side, in their order.
    """

    def __init__(self, layer: nn.Conv2d, inputs: Sequence[int] = ()) -> None:
        self.layer = layer
        self.inputs = list(inputs) or [layer.in_channels]
        self.weights: list[Tensor] = []
        # A single input gains nothing by it: measured, PyTorch's own way is as fast or faster.
        if len(self.inputs) > 1 and _packable(layer.weight):
            self.weights = [_reorder_weight(part) for part in layer.weight.split(self.inputs, 1)]

    def __call__(self, *sources: Tensor) -> Tensor:
        bias = self.layer.bias
        if not self.weights:
            x = sources[0] if len(sources) == 1 else torch.cat(sources, 1)
            return conv2d(x, self.layer.weight, bias, padding=(0, 1))
        first, *others = zip(sources, self.weights, strict=True)
        operators = torch.ops.mkldnn
        made: Tensor = operators._convolution_pointwise(  # noqa: SLF001 # has no public name
            *first, bias, PADDING, ONES, ONES, 1, "none", [], ""
        )
        for source, weight in others:
            operators._convolution_pointwise_.binary(
                made, source, weight, None, PADDING, ONES, ONES, 1, "add", 1.0, None, [], None
            )
        return made


def _packable(weight: Tensor) -> bool:
    """Return whether oneDNN computes with such weights here."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
    return weight.dtype == torch.float32


def _reorder_weight(weight: Tensor) -> Tensor:
    """Return `weight` (c', c, 3, 3) in oneDNN's order."""
    inputs = [1, weight.shape[1], *_TYPICAL]
    made: Tensor = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
        weight.contiguous(memory_format=torch.channels_last), PADDING, ONES, ONES, 1, inputs
    )
    return made
