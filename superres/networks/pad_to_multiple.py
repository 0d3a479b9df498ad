"""Any image for a network that only takes whole windows."""

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from superres.geometry import round_up

WINDOW = 8  # side of every published SwinIR and Swin2SR super-resolution network's windows
_INNER = "network."  # where the wrapped network's entries lie among the wrapper's


class Windowed(nn.Module):
    """`network` for images of any size: `(n, c, h, w)` to `(n, c, scale·h, scale·w)`.

    The image is continued to the right and below by reflection up to the next multiple of
    `window`, as the publishers' networks do inside; a side that is a multiple already stays as it
    is. The publishers' test scripts continue every image by 1 to 8 pixels, divisible or not, and
    repeat the border pixel: near those two borders their results differ slightly from these.

    The state dict has the network's own keys, so that published files load strictly.
    """

    def __init__(self, network: nn.Module, scale: int, window: int = WINDOW) -> None:
        super().__init__()
        self.network = network
        self.scale = scale
        self.window = window
        self.register_state_dict_post_hook(_drop_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        y: Tensor = self.network(pad_to_multiple(x, self.window))
        return y[..., : height * self.scale, : width * self.scale]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Return `x` (…, h, w) reflected to the right and below to the next multiples of `multiple`.

    A side shorter than what is missing is reflected to and fro; a single pixel is repeated.
    """
    for axis in (-2, -1):
        length = x.shape[axis]
        if length % multiple:
            x = x.index_select(axis, _reflect_index(length, round_up(length, multiple), x.device))
    return x


def _reflect_index(length: int, total: int, device: torch.device | None = None) -> Tensor:
    """Return which of `length` pixels lies at each of `total` positions, the ends not repeated.

    Made on the `device`: a CUDA graph cannot hold a copy from the host.
    """
    period = max(2 * (length - 1), 1)
    position = torch.arange(total, device=device) % period
    return torch.minimum(position, period - position)


def _drop_prefix(
    _module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: object
) -> None:
    """Name the wrapped network's entries in `state` as the network itself does."""
    rename(state, prefix + _INNER, prefix)


def _add_prefix(
    _module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: object
) -> None:
    """Name the network's own entries in `state` as the wrapper's."""
    rename(state, prefix, prefix + _INNER)


def rename(state: MutableMapping[str, Any], old: str, new: str) -> None:
    """Let every entry of `state` that begins with `old` begin with `new`, in its order."""
    for key in [key for key in state if key.startswith(old)]:
        state[new + key.removeprefix(old)] = state.pop(key)
