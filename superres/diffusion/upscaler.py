"""The Stable Diffusion x4 upscaler: guided by a prompt, repeatable by a seed, for any size.

Latents and input share one grid of pixels. At every step the network sees the image tile by tile
and the predictions are blended over the whole, so that tiles agree long before they become visible
(Bar-Tal et al., "MultiDiffusion", ICML 2023). Noise is drawn once for the whole image.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from superres.diffusion.blending import enlarge_tile
from superres.diffusion.colour import keep_colours
from superres.diffusion.denoiser import Denoiser, DiffusionPlan
from superres.diffusion.options import Sampling
from superres.diffusion.spec import DiffusionSpec
from superres.errors import OutOfMemory, TooLarge
from superres.geometry import Size
from superres.image.frame import Pixels
from superres.inference.planning import Plan
from superres.inference.quantize import to_pixels, to_tensor
from superres.inference.result import Cost, Progress, RowStream
from superres.inference.scheduler import RequestQueue
from superres.inference.upscaler import Upscaler

_BAND_ROWS = 256  # rows that are converted to whole numbers at once


class DiffusionUpscaler(Upscaler):
    """Upscales images four times as the options of one request say; safe to share.

    Requests take turns network call by network call.
    """

    def __init__(self, model: Denoiser, asked: Sampling) -> None:
        self.model = model
        self.spec: DiffusionSpec = model.spec
        self.device = model.device
        self.sampling = asked

    @property
    def report(self) -> dict[str, Any]:
        """What makes the same image again, for the answer: seed, steps, guidance, noise level."""
        return self.sampling.report

    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
        plan: Plan | None = None,  # noqa: ARG002
    ) -> RowStream:
        """Upscale an image four times; all rows come at once.

        Args:
            pixels: (h, w, 3 or 1), uint8 or uint16.
            tile: A tile's edge in input pixels, at least 64; 0 takes 128, or 64 where memory is
                short.
            overlap: Input pixels that a tile sees beyond its share on each side.
            progress: Called after every tile of every step; an error it raises ends the work.
            plan: Ignored: how the image is cut depends on the memory that is free now.

        Returns:
            The rows; the same seed, options, tile and overlap give the same image.

        Raises:
            TooLarge: Before any work, where the estimate is beyond the limit.
            OutOfMemory: The estimate was wrong.
            Failed: The result is not finite.
        """
        size = Size(pixels.shape[1], pixels.shape[0])
        cost = Cost()
        rows = self.rows(pixels, tile, overlap, progress, cost)
        return RowStream(size.times(self.spec.scale), rows, cost)

    def rows(
        self, pixels: Pixels, tile: int, overlap: int | None, progress: Progress, cost: Cost
    ) -> Iterator[Pixels]:
        """Yield the whole result; what does not fit into memory is planned anew."""
        size = Size(pixels.shape[1], pixels.shape[0])
        while True:
            plan = self.model.plan(size, tile, overlap)
            cost.overlap = self.spec.overlap if overlap is None else overlap
            try:
                yield self.run(pixels, plan, progress, cost)
                return
            except torch.OutOfMemoryError as error:
                self.reduce_memory(size, tile, overlap, plan, error)

    def reduce_memory(
        self,
        size: Size,
        tile: int,
        overlap: int | None,
        plan: DiffusionPlan,
        error: torch.OutOfMemoryError,
    ) -> None:
        """Make the next plan take less than `plan`, which did not fit. Raises OutOfMemory."""
        self.model.max_bytes = plan.memory - 1
        if self.model.device.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            self.model.plan(size, tile, overlap)
        except TooLarge:
            self.model.max_bytes = plan.memory
            raise OutOfMemory(
                f"{self.spec.name}: {size} pixels, about {plan.memory >> 20} MB, do not fit into "
                "device memory",
                allowed="a smaller image or tile, or a device with more free memory",
            ) from error

    @torch.inference_mode()
    def run(self, pixels: Pixels, plan: DiffusionPlan, progress: Progress, cost: Cost) -> Pixels:
        """Denoise and decode as planned."""
        peak = self.model.device.peak()
        calls = len(plan.tiles) * self.sampling.steps + len(plan.decoder_tiles)
        source = to_tensor(_pad_by_reflection(pixels, plan.size), self.model.device.device)
        with self.model.device.scheduler.open_queue() as queue:
            work = DiffusionProgress(queue, calls, progress)
            latents = self.denoise(source * 2 - 1, plan, work)
            image = self.decode(latents, plan, work)
        if self.model.keep_colours:
            keep_colours(image, source[0].cpu())
        height, width, channels = pixels.shape
        result = np.empty(
            (height * self.spec.scale, width * self.spec.scale, channels), pixels.dtype
        )
        for top in range(0, len(result), _BAND_ROWS):
            band = image[None, :, top : min(top + _BAND_ROWS, len(result)), : result.shape[1]]
            result[top : top + _BAND_ROWS] = to_pixels(band, pixels.dtype, channels)
        cost.seconds, cost.peak_memory = work.seconds, peak()
        cost.tiles, cost.redone = len(plan.tiles), work.redone
        return result

    def denoise(self, image: Tensor, plan: DiffusionPlan, work: "DiffusionProgress") -> Tensor:
        """Return the latents (1, 4, h, w) of the enlarged `image`, which is (1, 3, h, w) in
        -1..1.
        """
        parts, device, level = self.model.parts, image.device, self.sampling.noise_level
        with work.turn():
            texts = self.model.embed_prompts(self.sampling)
        low_noise, high_noise = draw_noise(plan.size, self.sampling.seed, image.shape[1], 4)
        low = parts.low_res_scheduler.add_noise(
            image, low_noise.to(device), torch.tensor([level], device=device)
        )
        scheduler = type(parts.scheduler).from_config(parts.scheduler.config)
        scheduler.set_timesteps(self.sampling.steps, device=device)
        latents: Tensor = high_noise.to(device) * scheduler.init_noise_sigma
        for step in scheduler.timesteps:
            x = torch.cat([scheduler.scale_model_input(latents, step), low], dim=1)
            blended = torch.zeros_like(latents)
            for tile in plan.tiles:
                with work.turn():
                    part, again = self.predict_guided(tile.of(x), step, texts, plan.is_one_call)
                    tile.add(part, blended)
                work.redone += again
                work.advance()
            latents = torch.as_tensor(scheduler.step(blended, step, latents, return_dict=False)[0])
        return latents

    def predict_guided(
        self, x: Tensor, step: Tensor, texts: Tensor, together: bool
    ) -> tuple[Tensor, bool]:
        """Return what the network predicts for a tile, pushed from `texts` without to with the
        prompt.
        """
        level = self.sampling.noise_level
        parts = [texts] if together else list(texts.split(1))
        made = [self.model.predict(x, step, part, level) for part in parts]
        out = torch.cat([part for part, _ in made])
        again = any(redone for _, redone in made)
        if not self.sampling.guided:
            return out, again
        without, towards = out.chunk(2)
        return without + self.sampling.guidance_scale * (towards - without), again

    def decode(self, latents: Tensor, plan: DiffusionPlan, work: "DiffusionProgress") -> Tensor:
        """Return the image (3, 4·h, 4·w) in 0..1, in main memory: it may be larger than the
        device's.
        """
        size = plan.size.times(self.spec.scale)
        image = torch.zeros(3, size.height, size.width)
        for tile in plan.decoder_tiles:
            with work.turn():
                part = self.model.decode(tile.of(latents))[0]
                enlarge_tile(tile, self.spec.scale).add(part, image)
            work.advance()
        return image


class DiffusionProgress:
    """Counts what is done of one image, and lets others take their turns in between."""

    def __init__(self, queue: RequestQueue, total: int, progress: Progress) -> None:
        self.queue = queue
        self.total = total
        self.progress = progress
        self.done = 0
        self.redone = 0
        self.seconds = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the device for one call, whose time counts."""
        with self.queue.lock():
            started = time.perf_counter()
            yield
            self.seconds += time.perf_counter() - started

    def advance(self) -> None:
        """Report one more call."""
        self.done += 1
        self.progress(self.done, self.total)


def _pad_by_reflection(pixels: Pixels, size: Size) -> Pixels:
    """Return `pixels` reflected beyond its right and lower border to `size`."""
    height, width = pixels.shape[:2]
    beyond = ((0, size.height - height), (0, size.width - width), (0, 0))
    result: NDArray[Any] = np.pad(pixels, beyond, mode="reflect")
    return result


def draw_noise(size: Size, seed: int, *channels: int) -> list[Tensor]:
    """Draw Gaussian noise (1, c, h, w) for the whole image, for the input and for the latents.

    Drawn on the CPU in fp32, in the order of diffusers' pipeline: the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, c, size.height, size.width, generator=generator) for c in channels]
