"""Networks of one channel, trained on greys of full range, given colour images."""

from collections.abc import Callable

from torch import Tensor, nn

from superres.model_spec import StateDict
from superres.networks.luma_chroma import BLACK, RANGE, LumaNetwork, LumaUpscaler, wrap_keys


class _FullRange(LumaNetwork):
    """A network of greys 0..1 for luma of studio range."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, luma: Tensor) -> Tensor:
        made: Tensor = self.network((luma - BLACK) / RANGE)
        return made * RANGE + BLACK


def wrap_luma_network(build: Callable[[], nn.Module], scale: int) -> nn.Module:
    """Build a network for RGB: luma by the network of one channel, chroma by bicubic.

    Args:
        build: Makes the network, `(n, 1, h, w)` in 0..1 to `(n, 1, scale·h, scale·w)`.
        scale: Of the network.

    Returns:
        The network of `(n, 3, h, w)`; a grey image gets exactly what the inner one makes of it.
    """
    return LumaUpscaler(_FullRange(build(), scale))


def wrap_state(convert: Callable[[StateDict], StateDict] | None, state: StateDict) -> StateDict:
    """Name the tensors of the inner network as `wrap_luma_network` does.

    Args:
        convert: Turns the file's names into the network's, if they differ.
        state: As the file has it.

    Returns:
        The state dict of the wrapped network.
    """
    return wrap_keys(convert(state) if convert else state, wrappers=2)
