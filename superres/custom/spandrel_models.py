"""The architectures that the package spandrel brings, where it is installed.

spandrel (MIT) recognizes some forty architectures; its file reading is not used, so that nothing is
read but tensors.
"""

import logging
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from superres.custom.detected import Detected, Finding, Unsupported
from superres.errors import WeightsMismatch
from superres.model_spec import FACE_OPTIONS, NetworkSpec, SizeRequirements, Speed, StateDict
from superres.networks.pad_to_multiple import Windowed
from superres.networks.torchvision_compat import repair_torchvision
from superres.weights.store import read_state_dict

# Overlaps with which tiles are within one 8-bit step of the whole image; every other architecture
# goes whole. Measured with random weights of unit gain, on an image that is dark on one side and
# noisy on the other, in 255ths of the output's range at overlap 32: SPAN 0.1, DRCT 0.4, MoESR 0.05,
# SwiftSRGAN 0.02, MoSR 0.01, DITN 0.001. Trained weights reach farther, so that the deepest have
# twice that, as Real-ESRGAN's RRDB has. What pools, normalizes or attends over the whole image was
# off by: OmniSR 280, GRL 220, SeemoRe 160, DCTLSA 150, RealPLKSR 130, ATD 94, RGT 88, CRAFT 45,
# DAT 31, SAFMNBCIE 15, HAT 1.6.
TILED = {
    "SPAN": 32,
    "SwiftSRGAN": 32,
    "MoSR": 32,
    "DITN": 32,
    "MoESR": 64,
    "DRCT": 64,
    "ESRGAN": 64,  # ESRGAN+; the others are our own
}
_PROBE = 64  # pixels a side of the image by which the memory is estimated
_MAX_NUMBER = 500  # layers in a row; a file may name more than memory can hold
_HELD = 4  # largest outputs that are alive at a time, at most

logger = logging.getLogger(__name__)


def detect_by_spandrel(state: StateDict, path: Path) -> Finding:
    """Recognize a network that spandrel brings.

    Args:
        state: Tensors by name, without prefixes.
        path: The file they were read from, which is read again when the network is built.

    Returns:
        The network; why it is not computed; None where it is not recognized or spandrel is not
        installed.
    """
    if find_spec("spandrel") is None or _find_largest_number(state) > _MAX_NUMBER:
        return None
    found = _load_descriptor(state)
    if found is None:
        return None
    name = found.architecture.name
    summary = f"{name} x{found.scale}"
    if (found.input_channels, found.output_channels) != (3, 3) or found.scale not in range(1, 9):
        channels = f"{found.input_channels} channels in and {found.output_channels} out"
        return Unsupported(summary, f"{channels}, expected 3 and 3")
    if found.size_requirements.square:
        return Unsupported(summary, "it takes square images only")
    return Detected(summary, partial(_make_spec, found=found, path=path))


def _find_largest_number(state: StateDict) -> int:
    """Return the largest number in a tensor's name: so many layers would be built."""
    numbers = (int(part) for key in state for part in key.split(".") if part.isdecimal())
    return max(numbers, default=0)


def _load_descriptor(state: StateDict) -> Any:
    """Return spandrel's description of the network with its weights, None for no network of it."""
    repair_torchvision()
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError  # type: ignore[import-untyped]

    try:
        found = ModelLoader().load_from_state_dict(dict(state))
    except UnsupportedModelError:
        return None
    except Exception as error:  # noqa: BLE001 # foreign code that infers sizes from foreign tensors
        logger.info("spandrel: %s", error)
        return None
    return found if isinstance(found, ImageModelDescriptor) else None


class SpandrelNetwork(nn.Module):
    """A network of spandrel, whose own padding is left to the one around it."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.model: nn.Module = found.model
        self._call = found

    def forward(self, x: Tensor) -> Tensor:
        """Compute (n, 3, scale·h, scale·w) in 0..1 of (n, 3, h, w)."""
        return self._call(x)  # type: ignore[no-any-return]


def _build(path: Path, scale: int, multiple: int) -> nn.Module:
    found = _load_descriptor(read_state_dict(path))
    if found is None:
        raise WeightsMismatch(f'weights file "{path}" has changed since it was recognized')
    return Windowed(SpandrelNetwork(found), scale, multiple)


def _make_spec(name: str, *, found: Any, path: Path) -> NetworkSpec:
    needs = found.size_requirements
    overlap = TILED.get(found.architecture.id)
    return NetworkSpec(
        name=name,
        system="spandrel",
        scale=found.scale,
        weights=(),
        description="your own file",
        options=FACE_OPTIONS,
        build=partial(_build, path, found.scale, needs.multiple_of),
        speed=Speed.SLOW,
        overlap=overlap or 0,
        whole_only=overlap is None,
        input_size=SizeRequirements(max(needs.minimum, 1)),
        align=needs.multiple_of,
        seconds_per_megapixel=100,  # until the first image tells
        bytes_per_pixel=_estimate_bytes(found),
        half=found.supports_half,
    )


@torch.inference_mode()
def _estimate_bytes(found: Any) -> int:
    """Return roughly what a network takes at its peak, per input pixel: some of its largest
    outputs at a time.
    """
    largest = 0

    def record(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    hooks = [module.register_forward_hook(record) for module in found.model.modules()]
    side = max(_PROBE, found.size_requirements.minimum)
    try:
        found(torch.zeros(1, 3, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    return int(_HELD * largest // side**2)
