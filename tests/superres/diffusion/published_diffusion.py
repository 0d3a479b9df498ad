"""The published networks without their values, and how many bytes live in them at once."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from superres.networks.torchvision_compat import repair_torchvision


@contextmanager
def published_networks() -> Iterator[tuple[nn.Module, nn.Module]]:
    """The UNet and the autoencoder of the publisher's configuration, computing shapes only."""
    repair_torchvision()
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with FakeTensorMode(), torch.no_grad():
        unet = UNet2DConditionModel(
            sample_size=128,
            in_channels=7,
            out_channels=4,
            block_out_channels=(256, 512, 512, 1024),
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
            up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
            cross_attention_dim=1024,
            attention_head_dim=8,
            only_cross_attention=(True, True, True, False),
            num_class_embeds=1000,
            use_linear_projection=True,
        )
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512),
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            layers_per_block=2,
            latent_channels=4,
        )
        yield unet.eval(), vae.eval()


def most_bytes(network: nn.Module, *inputs: torch.Tensor, **named: Any) -> int:
    """The most bytes of tensors that live at once while `network` runs, its own values apart."""
    with Living(network) as living:
        network(*inputs, **named)
    return living.most


class Living(TorchDispatchMode):
    """Counts the bytes of every storage that an operator returns until it is freed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        values = [*network.parameters(), *network.buffers()]
        self.kept = [value.untyped_storage() for value in values]
        self.seen = {storage._cdata for storage in self.kept}
        self.now = self.most = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.seen:
            return
        self.seen.add(storage._cdata)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.free, storage._cdata, storage.nbytes())

    def free(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size
