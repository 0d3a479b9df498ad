"""The network whose output is learned, its mean colour corrected."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from superres.catalogue import find_model
from superres.model_spec import NetworkSpec, StateDict
from superres.weights.store import interpolate as interpolate_states
from superres.weights.store import load_state_dict, read_state_dict
from training.recipe import TeacherSettings

_SHARPEN_SIGMA = 1.0  # pixels of the output
_RADIUS = 8  # LR pixels: differences wider than this are of the mean colour, not of detail


class Teacher:
    """A catalogue model in evaluation mode."""

    def __init__(
        self, settings: TeacherSettings, weights: Sequence[Path], device: torch.device
    ) -> None:
        """Load the weights: one file, or two that are interpolated by `denoise_strength`."""
        self.spec: NetworkSpec = find_model(settings.model)
        self.state = _read_states(self.spec, weights, settings.denoise_strength)
        self._network = self.spec.build()
        load_state_dict(self._network, self.state, weights[0])
        self._network.requires_grad_(False).eval()
        self._network.to(device=device, memory_format=torch.channels_last)
        self._keep_mean, self._sharpen = settings.keep_mean, settings.sharpen
        self._device = device

    @torch.inference_mode()
    def enlarge(self, lr: Tensor, scale: int) -> Tensor:
        """Compute targets.

        Args:
            lr: (n, 3, h, w) float32 RGB in 0..1.
            scale: Of the targets; one below the teacher's own is made by antialiased bicubic.

        Returns:
            (n, 3, scale·h, scale·w) float32 RGB in 0..1, on the CPU.
        """
        lr = lr.to(self._device, memory_format=torch.channels_last)
        made = self._network(lr)
        if self._keep_mean:
            made = correct_mean(made, lr, self.spec.scale)
        if self._sharpen:
            made = made + self._sharpen * (made - gaussian_blur(made, _SHARPEN_SIGMA))
        if scale != self.spec.scale:
            size = (scale * lr.shape[2], scale * lr.shape[3])
            made = interpolate(made, size, mode="bicubic", antialias=True)
        return made.clamp(0, 1).cpu()


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images with mirrored borders.

    Args:
        images: (n, c, h, w).
        sigma: In pixels.

    Returns:
        The blurred images, like `images`.
    """
    radius = round(3 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    line = torch.exp(-0.5 * (x / sigma) ** 2)
    line = (line / line.sum()).expand(images.shape[1], 1, 1, -1)
    around = pad(images, (radius,) * 4, mode="reflect")
    across = conv2d(around, line, groups=images.shape[1])
    return conv2d(across, line.transpose(2, 3), groups=images.shape[1])


def correct_mean(made: Tensor, lr: Tensor, scale: int) -> Tensor:
    """Shift the low frequencies of an enlarged image to those of its input.

    Args:
        made: (n, 3, scale·h, scale·w) enlarged images.
        lr: (n, 3, h, w) their inputs.
        scale: Of the enlargement.

    Returns:
        The shifted images, like `made`.
    """
    difference = lr - avg_pool2d(made, scale)
    for _ in range(2):  # twice a box is nearly a Gaussian
        radius = min(_RADIUS, min(lr.shape[2:]) - 1)
        around = pad(difference, (radius,) * 4, mode="reflect")
        difference = avg_pool2d(around, 2 * radius + 1, stride=1)
    return made + interpolate(difference, scale_factor=scale, mode="bilinear")


def _read_states(spec: NetworkSpec, weights: Sequence[Path], strength: float) -> StateDict:
    states = [read_state_dict(path, spec.weights[0].keys) for path in weights]
    states = [spec.convert(state) if spec.convert else state for state in states]
    return interpolate_states(*states, strength) if len(states) == 2 else states[0]
