"""Networks of spandrel's architectures with random weights that let every layer count."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()  # before spandrel is imported


def _describe(module: str, name: str | None = None, **sizes: Any) -> Callable[[], nn.Module]:
    """Return a builder of an architecture's class at the given sizes."""

    def build() -> nn.Module:
        found = importlib.import_module(f"spandrel.architectures.{module}")
        return getattr(found, name or module)(**sizes)  # type: ignore[no-any-return]

    return build


_TRANSFORMER = {"embed_dim": 48, "upscale": 2}
# Those that tests/superres/custom/test_spandrel_models.py expects to be cut, at their full depth.
TILED: dict[str, Callable[[], nn.Module]] = {
    "SPAN": _describe("SPAN", num_in_ch=3, num_out_ch=3, feature_channels=48, upscale=4),
    "SwiftSRGAN": _describe("SwiftSRGAN", num_channels=32, upscale_factor=2),
    "MoSR": _describe("MoSR", upscale=2, n_block=24, dim=48),
    "MoESR": _describe("MoESR", scale=2, dim=48),
    "DITN": _describe("DITN", upscale=2),
    "ESRGAN": _describe("ESRGAN", num_filters=32, num_blocks=8, scale=2, plus=True),
    "DRCT": _describe(
        "DRCT", depths=(6, 6, 6), num_heads=(6, 6, 6), upsampler="pixelshuffle", **_TRANSFORMER
    ),
}
WHOLE: dict[str, Callable[[], nn.Module]] = {
    "RealPLKSR": _describe("PLKSR", "RealPLKSR", dim=32, n_blocks=4, upscaling_factor=2),
    "PLKSR": _describe("PLKSR", dim=32, n_blocks=4, upscaling_factor=2),
    "SAFMN": _describe("SAFMN", dim=36, upscaling_factor=2),
    "CRAFT": _describe("CRAFT", upscale=2),
    "SeemoRe": _describe(
        "SeemoRe", scale=2, num_experts=3, num_layers=6, embedding_dim=36, lr_space="exp"
    ),
    "OmniSR": _describe("OmniSR", res_num=2, up_scale=2),
    "ATD": _describe(
        "ATD",
        depths=(2, 2),
        num_heads=(4, 4),
        window_size=16,
        category_size=128,
        reducted_dim=8,
        upsampler="pixelshuffledirect",
        **_TRANSFORMER,
    ),
    "DAT": _describe(
        "DAT",
        split_size=[8, 32],
        depth=[4],
        num_heads=[6],
        expansion_factor=2.0,
        upsampler="pixelshuffledirect",
        **_TRANSFORMER,
    ),
    "RGT": _describe(
        "RGT", depth=[4], num_heads=[6], mlp_ratio=2.0, split_size=[8, 32], **_TRANSFORMER
    ),
    "HAT": _describe(
        "HAT",
        depths=(2, 2),
        num_heads=(6, 6),
        window_size=16,
        mlp_ratio=2.0,
        upsampler="pixelshuffle",
        **_TRANSFORMER,
    ),
}
NETWORKS = TILED | WHOLE


def make_state(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """Return the tensors of a network whose results are images of middling contrast."""
    torch.manual_seed(0)
    network = build().eval()
    with torch.inference_mode():
        for name, parameter in network.named_parameters():
            if parameter.dim() >= 2 and not name.endswith("table"):
                nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
            elif parameter.dim() == 1:
                norm = float(name.endswith("weight"))
                nn.init.normal_(parameter, mean=norm, std=0.1)
        _set_contrast(network)
    return {name: value.clone() for name, value in network.state_dict().items()}


def _set_contrast(network: nn.Module) -> None:
    """Scale and shift the last convolution until the result lies around 0.5."""
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: called.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    probe = torch.from_numpy(make_image(64, 64)).permute(2, 0, 1)[None] / 255
    network(probe)
    for hook in hooks:
        hook.remove()
    last = called[-1]
    assert isinstance(last, nn.Conv2d)
    last.weight *= 0.15 / network(probe).std()
    if last.bias is None:
        return
    before = network(probe).mean()
    last.bias += 0.1
    slope = (network(probe).mean() - before) / 0.1
    last.bias += (0.5 - before) / slope - 0.1


def make_image(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image that is flat and dark at the left, noisy and bright at the right.

    What depends on averages of the whole image differs in tiles of such a one.
    """
    noise = np.random.default_rng(0).random((height, width, 3))
    noise *= np.linspace(0.05, 1, width)[None, :, None]
    return (noise * 255).astype(np.uint8)
