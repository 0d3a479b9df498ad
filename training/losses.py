"""Losses between an output and its target."""

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from training.recipe import LossSettings

_EPSILON = 1e-3  # below it the Charbonnier loss is quadratic


def compute_loss(made: Tensor, target: Tensor, settings: LossSettings, progress: float) -> Tensor:
    """Compute the weighted sum of the losses.

    Args:
        made: (n, 3, h, w) output of the student in 0..1.
        target: (n, 3, h, w).
        settings: Weights of the losses.
        progress: Share of the steps that are done.

    Returns:
        A scalar.
    """
    if progress >= settings.l2_from:
        return mse_loss(made, target)
    loss = made.new_zeros(())
    if settings.l1:
        loss = loss + settings.l1 * l1_loss(made, target)
    if settings.charbonnier:
        distance = ((made - target) ** 2 + _EPSILON**2).sqrt().mean()
        loss = loss + settings.charbonnier * distance
    if settings.frequency:
        difference = torch.fft.rfft2(made - target, norm="ortho")
        loss = loss + settings.frequency * torch.view_as_real(difference).abs().mean()
    return loss
