"""The Stable Diffusion x4 upscaler made ready: its estimates, and an Upscaler for a prompt."""

from typing import Any

from superres.diffusion.denoiser import BYTES_PER_PIXEL, Denoiser
from superres.diffusion.options import read_sampling
from superres.diffusion.spec import DiffusionSpec
from superres.diffusion.upscaler import DiffusionUpscaler
from superres.errors import BadOption
from superres.estimation.cost import GPU_SPEED, MEGAPIXEL, ExecutionTarget, NetworkCost
from superres.geometry import Size
from superres.model_loader import LoadedModel

__all__ = ["DiffusionModel"]


class DiffusionModel(Denoiser, LoadedModel):
    """The model with its weights in memory, and an Upscaler for given options."""

    spec: DiffusionSpec

    @property
    def target(self) -> ExecutionTarget:
        """Where the networks run, for estimates."""
        return ExecutionTarget(self.device.free(), self.device.device.type == "cpu")

    def estimate(
        self,
        size: Size,
        tile: int = 0,  # noqa: ARG002 - there are no figures of tiles
        overlap: int | None = None,  # noqa: ARG002
    ) -> NetworkCost:
        """Estimate what a frame takes: all of the memory for activations, 75 steps."""
        seconds = self.spec.seconds_per_megapixel * size.pixels / MEGAPIXEL
        state, memory = BYTES_PER_PIXEL * size.pixels, self.target.memory
        if self.target.on_cpu:
            return NetworkCost(state, memory, seconds, size.height)
        return NetworkCost(0, state + memory, seconds / GPU_SPEED, size.height)

    def upscaler(self, **options: Any) -> DiffusionUpscaler:
        """Return an upscaler for the options of a request (options.py). Raises BadOption.

        A prompt of more than CLIP's 75 tokens is refused: the rest would silently not count.
        """
        asked = read_sampling(options)
        most = self.parts.config.max_noise_level
        if asked.noise_level > most:
            raise BadOption("noise_level", asked.noise_level, f"a whole number from 0 to {most}")
        with self.device.scheduler.lock():  # the tokenizer is not safe to share
            for name in ("prompt", "negative_prompt"):
                self.check_length(name, getattr(asked, name))
        return DiffusionUpscaler(self, asked)
