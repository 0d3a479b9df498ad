"""The training loop: warm-up and cosine, moving average, mixed precision, checkpoints, log."""

import csv
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from superres.model_spec import StateDict
from training.losses import compute_loss
from training.patches import PatchPool
from training.recipe import Recipe, RunSettings
from training.students import Student

_FINAL_RATE = 1e-6
_MAX_NORM = 1.0  # of the gradient
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class Batch(NamedTuple):
    """Patches of LR and their targets."""

    lr: Tensor  # (n, 3, h, w) float32 RGB in 0..1
    target: Tensor  # (n, 3, scale·h, scale·w)


class Check(NamedTuple):
    """How near the student is to the targets of held-out patches."""

    levels: float  # mean absolute difference in 8-bit levels
    psnr: float  # dB, of all colours


class Trainer:
    """A student, its optimizer and everything that a checkpoint keeps."""

    def __init__(
        self, student: Student, recipe: Recipe, output: Path, device: torch.device
    ) -> None:
        """Prepare a run that writes `output` and, beside it, a checkpoint and a log."""
        self._recipe, self._settings = recipe, recipe.training
        self._output, self._device = output, device
        self._student = student.to(device=device, memory_format=torch.channels_last)
        self._averaged = AveragedModel(self._student, avg_fn=self._average)
        trained = [p for p in self._student.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=self._settings.rate, betas=(0.9, 0.99))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: compute_rate(step, self._settings)
        )
        scaled = device.type == "cuda" and self._settings.precision == "fp16"
        self._scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self._checkpoint = output.with_suffix(".checkpoint")
        self.step = 0

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one.

        Returns:
            Whether there was one.

        Raises:
            ValueError: The checkpoint is of another recipe.
        """
        if not self._checkpoint.exists():
            return False
        state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
        if state["recipe"] != repr(self._recipe):
            raise ValueError(f'"{self._checkpoint}" is of another recipe: remove it to start anew')
        self._student.load_state_dict(state["student"])
        self._averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
        return True

    def run(self, pool: PatchPool, held_out: Batch) -> Iterator[str]:
        """Train to the last step.

        Args:
            pool: Source of batches.
            held_out: What the checks are made on.

        Yields:
            A line of progress at each check.
        """
        first, started = self.step, time.monotonic()
        loss = torch.zeros(())
        for step in range(first + 1, self._settings.steps + 1):
            self.step = step
            loss = self._do_step(Batch(*pool.draw_batch(self._settings.batch)))
            is_last = self.step == self._settings.steps
            if self.step % self._settings.check_every and not is_last:
                continue
            found = self.check(held_out)
            self._save()
            pace = (time.monotonic() - started) / (self.step - first)
            self._log(loss.item(), found, pace)
            left = pace * (self._settings.steps - self.step)
            yield (
                f"step {self.step}/{self._settings.steps}  loss {loss.item():.5f}  "
                f"held out {found.levels:.3f} levels, {found.psnr:.2f} dB  "
                f"{pace:.3f} s/step, {left / 60:.0f} min left"
            )

    @torch.inference_mode()
    def check(self, held_out: Batch) -> Check:
        """Compare the averaged student with the targets of held-out patches."""
        self._averaged.eval()
        rim = self._recipe.data.rim * self._recipe.student.scale
        made = torch.cat([self._averaged(lr.to(self._device)).cpu() for lr in held_out.lr.split(8)])
        difference = (made.clamp(0, 1) - held_out.target)[
            ..., rim : -rim or None, rim : -rim or None
        ]
        mean_square = difference.square().mean().item()
        return Check(255 * difference.abs().mean().item(), -10 * math.log10(mean_square + 1e-12))

    def export(self) -> StateDict:
        """Return the averaged weights of the product's network, in fp32."""
        averaged = self._averaged.module
        assert isinstance(averaged, Student)
        return averaged.export()

    def _do_step(self, batch: Batch) -> Tensor:
        """Change the weights once and return the loss."""
        self._student.train()
        rim = self._recipe.data.rim * self._recipe.student.scale
        inner = slice(rim, -rim or None)
        with self._autocast():
            made = self._student(batch.lr.to(self._device))
        target = batch.target.to(self._device)[..., inner, inner]
        loss = compute_loss(
            made.float()[..., inner, inner],
            target,
            self._recipe.loss,
            (self.step - 1) / self._settings.steps,
        )
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._student.parameters(), _MAX_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        self._averaged.update_parameters(self._student)
        return loss.detach()

    def _autocast(self) -> AbstractContextManager[Any]:
        precision = self._settings.precision
        return torch.autocast(self._device.type, _DTYPES[precision], enabled=precision != "fp32")

    def _average(self, averaged: Tensor, value: Tensor, count: int | Tensor) -> Tensor:
        """Return the moving average, which follows closely at first."""
        seen = float(count)
        decay = min(self._settings.decay, (seen + 1) / (seen + 20))
        return averaged.lerp(value, 1 - decay)

    def _save(self) -> None:
        """Write the weights and the checkpoint; an interruption leaves the last ones whole."""
        save_file(self.export(), self._output.with_suffix(".part"))
        self._output.with_suffix(".part").replace(self._output)
        state = {
            "recipe": repr(self._recipe),
            "student": self._student.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "step": self.step,
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)

    def _log(self, loss: float, found: Check, pace: float) -> None:
        path = self._output.with_suffix(".csv")
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if is_new:
                writer.writerow(["step", "loss", "rate", "levels", "psnr", "seconds_per_step"])
            rate = self._schedule.get_last_lr()[0]
            writer.writerow([self.step, loss, rate, found.levels, found.psnr, pace])


def compute_rate(step: int, settings: RunSettings) -> float:
    """Compute the learning rate at a step: linear warm-up, then a cosine to 1e-6.

    Args:
        step: Steps that are done.
        settings: Highest rate, warm-up and number of steps.

    Returns:
        The rate as a share of the highest.
    """
    floor = _FINAL_RATE / settings.rate
    warm = min(1.0, (step + 1) / max(1, settings.warm_up))
    return warm * (floor + (1 - floor) * (1 + math.cos(math.pi * step / settings.steps)) / 2)
