"""The Stable Diffusion x4 upscaler: guided by a prompt, repeatable by a seed, for any size.

Latents and input share one grid of pixels. At every step the network sees the picture tile by tile
and the predictions are blended over the whole, so that tiles agree long before they become visible
(Bar-Tal et al., "MultiDiffusion", ICML 2023). Noise is drawn once for the whole picture.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import avg_pool2d, interpolate

from contract.options import SAMPLING_OPTIONS
from superres.diffusion.blending import Patch, enlarged, patches
from superres.diffusion.files import HALF, Release, located
from superres.diffusion.networks import from_folder, from_single_file, full_precision
from superres.diffusion.options import Sampling, sampling
from superres.errors import BadOption, Failed, OutOfMemory, TooLarge
from superres.geometry import Size, round_up
from superres.image.frame import Pixels
from superres.inference.device import HALF as HALF_FORMATS
from superres.inference.device import Device
from superres.inference.quantize import to_pixels, to_tensor
from superres.inference.result import Progress, Result
from superres.inference.scheduler import Line
from superres.model_spec import Speed, Weights
from superres.weights.store import Store

TILE = 128  # input pixels a side: what the model was trained on
LEAST = 64  # input pixels a side that the network sees at least
MAX_PIXELS = 2**20  # input pixels of one picture
DECODED = (96, 64, 32)  # smaller tiles of the decoder, in input pixels
# Peak bytes of activations per input pixel of a tile in fp32, a quarter more than all tensors that
# live at once in the published networks (15.7 and 49.2 kB): the libraries' workspace.
UNET_BYTES = 19_600
VAE_BYTES = 61_500
# Per input pixel of the picture: latents and scheduler 120, decoded 192, colours 128, result 96.
PICTURE_BYTES = 540
BAND = 256  # rows that are converted to whole numbers at once
BLUR = 8  # input pixels around each whose mean colour is kept


@dataclass(frozen=True)
class DiffusionSpec:
    """What people read about the model, under the names that ModelSpec has."""

    name: str = "stable_diffusion.x4"
    system: str = "stable_diffusion"
    scale: int = 4
    weights: tuple[Weights, ...] = HALF
    description: str = "small photos: invents detail to a prompt, a different one for every seed"
    speed: Speed = Speed.SLOW
    overlap: int = 16
    options: tuple[str, ...] = SAMPLING_OPTIONS
    release: Release = field(default_factory=Release)

    @property
    def commercial(self) -> bool:
        """Whether no weights file's licence excludes commercial use."""
        return not any("NC" in weights.licence for weights in self.weights)


SPEC = DiffusionSpec()


class Plan(NamedTuple):
    """How a picture is cut; edges in input pixels, `memory` in bytes."""

    size: Size  # padded
    tiles: list[Patch]
    together: bool  # with and without the prompt in one call
    decoded: list[Patch]
    memory: int


class DiffusionModel:
    """The model with its weights in memory, and an upscaler for given options."""

    def __init__(
        self,
        spec: DiffusionSpec,
        device: Device,
        store: Store,
        weights: Path | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        keep_colours: bool = True,
    ) -> None:
        """Find, check and load the weights; `weights` is a folder or file that replaces them.

        `max_pixels` is the largest picture; `keep_colours` takes the colour of areas from the
        input: the model alone shifts it. Raises WeightsMissing, WeightsCorrupt or WeightsMismatch.
        """
        self.spec = spec
        self.device = device
        self.max_pixels = max_pixels
        self.keep_colours = keep_colours
        self.dtype = number_format(device)
        source = located(spec.release, store, weights, half=self.dtype == torch.float16)
        if source.single:
            self.parts = from_single_file(source.single, source.folder, self.dtype)
        else:
            self.parts = from_folder(source.folder, source.variants, self.dtype)
        self.parts.to(device.device)
        self.parts.unet.to(memory_format=device.layout)
        self.parts.vae.to(memory_format=device.layout)
        self.align = 2 ** (len(self.parts.unet.config.block_out_channels) - 1)
        self.ceiling: int | None = None  # bytes, learned from running out of memory

    def upscaler(self, **options: Any) -> "DiffusionUpscaler":
        """An upscaler for the options of a request (options.py). Raises BadOption.

        A prompt of more than CLIP's 75 tokens is refused: the rest would silently not count.
        """
        asked = sampling(options)
        most = self.parts.config.max_noise_level
        if asked.noise_level > most:
            raise BadOption("noise_level", asked.noise_level, f"a whole number from 0 to {most}")
        with self.device.scheduler.turn():  # the tokenizer is not safe to share
            for name in ("prompt", "negative_prompt"):
                self.check_length(name, getattr(asked, name))
        return DiffusionUpscaler(self, asked)

    def check_length(self, name: str, prompt: str) -> None:
        """Raise BadOption where a prompt has more tokens than the model reads."""
        # Two tokens mark the beginning and the end.
        most = self.parts.tokenizer.model_max_length - 2
        tokens = len(self.parts.tokenizer.tokenize(prompt))
        if tokens > most:
            allowed = f"text of at most {most} tokens (about {most * 3 // 4} words), not {tokens}"
            raise BadOption(name, prompt, allowed)

    def plan(self, size: Size, tile: int, overlap: int | None) -> Plan:
        """How a picture of `size` is cut so that it fits. Raises TooLarge with both numbers."""
        if size.pixels > self.max_pixels:
            raise TooLarge(
                f"{size} is {size.pixels} pixels: at most {self.max_pixels} are allowed with "
                f"{self.spec.name}",
                code="PIXELS",
                allowed=f"at most {self.max_pixels} pixels",
            )
        memory = min(self.device.free(), self.ceiling or self.device.free())
        overlap = self.spec.overlap if overlap is None else overlap
        fitting = (p for p in self.plans(size, tile, overlap) if p.memory <= memory)
        plan = next(fitting, None)
        if plan is None:
            least = min(plan.memory for plan in self.plans(size, tile, overlap))
            raise TooLarge(
                f"{size} pixels need about {least >> 20} MB with {self.spec.name}; "
                f"{memory >> 20} MB are allowed (memory_limit_mb)",
                code="MEMORY",
                allowed=f"at least {-(-least >> 20)} MB, a smaller picture or a smaller tile",
            )
        return plan

    def plans(self, size: Size, tile: int, overlap: int) -> Iterator[Plan]:
        """The ways to cut a picture, best first. The tile's edge changes the result, so that only
        as a last resort.
        """
        padded = Size(*(max(round_up(side, self.align), LEAST) for side in size))
        pixel = UNET_BYTES // (1 if self.dtype == torch.float32 else 2)
        for edge in [max(tile, LEAST)] if tile else [TILE, LEAST]:
            tiles = patches(padded, edge, overlap, self.align)
            for together in (True, False):
                step = area(tiles) * pixel * (2 if together else 1)
                for decoder in (edge, *(smaller for smaller in DECODED if smaller < edge)):
                    decoded = patches(padded, decoder, overlap, self.align)
                    most = max(step, area(decoded) * VAE_BYTES) + padded.pixels * PICTURE_BYTES
                    yield Plan(padded, tiles, together, decoded, most)

    def embeddings(self, asked: Sampling) -> Tensor:
        """What the text encoder makes of the prompts: (2 or 1, tokens, c), without and with."""
        given, other = self.parts.encode_prompt(
            asked.prompt, self.device.device, 1, asked.guided, asked.negative_prompt
        )
        texts: Tensor = torch.cat([other, given]) if asked.guided else given
        return texts

    def predict(self, x: Tensor, step: Tensor, texts: Tensor, level: int) -> tuple[Tensor, bool]:
        """The network's result in fp32 for each of `texts`; whether fp32 had to be used.

        Raises Failed where even that is not finite.
        """
        count = len(texts)
        x = x.expand(count, -1, -1, -1)
        labels = torch.full((count,), level, device=x.device)
        given = {"class_labels": labels, "return_dict": False}
        unet = self.parts.unet
        (out,) = unet(x.to(self.dtype), step, encoder_hidden_states=texts, **given)
        again = not bool(torch.isfinite(out).all())
        if again and self.dtype != torch.float32:
            given["encoder_hidden_states"] = texts.float()
            (out,) = functional_call(unet, full_precision(unet), (x, step), given)
        return self.finite(out), again

    def decode(self, latents: Tensor) -> Tensor:
        """The picture of `latents`, (1, 3, 4·h, 4·w), in 0..1. Raises Failed if not finite."""
        vae = self.parts.vae
        (out,) = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)
        return self.finite(out).div(2).add(0.5).clamp(0, 1)

    def finite(self, x: Tensor) -> Tensor:
        """`x` in fp32. Raises Failed where it has NaN or infinity: that would become black."""
        if not bool(torch.isfinite(x).all()):
            raise Failed(f"{self.spec.name} gave numbers that are not finite", code="NON_FINITE")
        return x.float()


class DiffusionUpscaler:
    """Enlarges pictures four times as the options of one request say; safe to share.

    Requests take turns network call by network call.
    """

    def __init__(self, model: DiffusionModel, asked: Sampling) -> None:
        self.model = model
        self.spec = model.spec
        self.asked = asked

    @property
    def report(self) -> dict[str, Any]:
        """What makes the same picture again, for the answer: seed, steps, guidance, noise level."""
        return self.asked.report

    def upscale(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Result:
        """`pixels` (h, w, 3 or 1), uint8 or uint16, enlarged four times in the same format.

        `tile` is a tile's edge in input pixels, at least 64; 0 takes 128, or 64 where memory is
        short. `overlap` is what a tile sees beyond its share on each side. The same seed, options,
        tile and overlap give the same picture. `progress` is called after every tile of every step;
        an error it raises ends the work. Raises TooLarge before any work where the estimate is
        beyond the limit, OutOfMemory where that was wrong, Failed if a result is not finite.
        """
        size = Size(pixels.shape[1], pixels.shape[0])
        while True:
            plan = self.model.plan(size, tile, overlap)
            try:
                return self.run(pixels, plan, progress)
            except torch.OutOfMemoryError as error:
                self.smaller(size, tile, overlap, plan, error)

    def smaller(
        self, size: Size, tile: int, overlap: int | None, plan: Plan, error: torch.OutOfMemoryError
    ) -> None:
        """Make the next plan take less than `plan`, which did not fit. Raises OutOfMemory."""
        self.model.ceiling = plan.memory - 1
        if self.model.device.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            self.model.plan(size, tile, overlap)
        except TooLarge:
            self.model.ceiling = plan.memory
            raise OutOfMemory(
                f"{self.spec.name}: {size} pixels, about {plan.memory >> 20} MB, do not fit into "
                "device memory",
                allowed="a smaller picture or tile, or a device with more free memory",
            ) from error

    @torch.inference_mode()
    def run(self, pixels: Pixels, plan: Plan, progress: Progress) -> Result:
        """Denoise and decode as planned."""
        peak = self.model.device.peak()
        calls = len(plan.tiles) * self.asked.steps + len(plan.decoded)
        source = to_tensor(padded(pixels, plan.size), self.model.device.device)
        with self.model.device.scheduler.line() as line:
            work = Work(line, calls, progress)
            latents = self.denoise(source * 2 - 1, plan, work)
            picture = self.decode(latents, plan, work)
        if self.model.keep_colours:
            keep_colours(picture, source[0].cpu())
        height, width, channels = pixels.shape
        result = np.empty(
            (height * self.spec.scale, width * self.spec.scale, channels), pixels.dtype
        )
        for top in range(0, len(result), BAND):
            band = picture[None, :, top : min(top + BAND, len(result)), : result.shape[1]]
            result[top : top + BAND] = to_pixels(band, pixels.dtype, channels)
        return Result(result, work.seconds, peak(), len(plan.tiles), work.redone)

    def denoise(self, picture: Tensor, plan: Plan, work: "Work") -> Tensor:
        """The latents (1, 4, h, w) of the enlarged `picture`, which is (1, 3, h, w) in -1..1."""
        parts, device, level = self.model.parts, picture.device, self.asked.noise_level
        with work.turn():
            texts = self.model.embeddings(self.asked)
        low_noise, high_noise = noises(plan.size, self.asked.seed, picture.shape[1], 4)
        low = parts.low_res_scheduler.add_noise(
            picture, low_noise.to(device), torch.tensor([level], device=device)
        )
        scheduler = type(parts.scheduler).from_config(parts.scheduler.config)
        scheduler.set_timesteps(self.asked.steps, device=device)
        latents: Tensor = high_noise.to(device) * scheduler.init_noise_sigma
        for step in scheduler.timesteps:
            x = torch.cat([scheduler.scale_model_input(latents, step), low], dim=1)
            blended = torch.zeros_like(latents)
            for tile in plan.tiles:
                with work.turn():
                    part, again = self.guided(tile.of(x), step, texts, plan.together)
                    tile.add(part, blended)
                work.redone += again
                work.advance()
            latents = torch.as_tensor(scheduler.step(blended, step, latents, return_dict=False)[0])
        return latents

    def guided(self, x: Tensor, step: Tensor, texts: Tensor, together: bool) -> tuple[Tensor, bool]:
        """What the network predicts for a tile, pushed from `texts` without to with the prompt."""
        level = self.asked.noise_level
        parts = [texts] if together else list(texts.split(1))
        made = [self.model.predict(x, step, part, level) for part in parts]
        out = torch.cat([part for part, _ in made])
        again = any(redone for _, redone in made)
        if not self.asked.guided:
            return out, again
        without, towards = out.chunk(2)
        return without + self.asked.guidance_scale * (towards - without), again

    def decode(self, latents: Tensor, plan: Plan, work: "Work") -> Tensor:
        """The picture (3, 4·h, 4·w) in 0..1, in main memory: it may be larger than the device's."""
        size = plan.size.times(self.spec.scale)
        picture = torch.zeros(3, size.height, size.width)
        for tile in plan.decoded:
            with work.turn():
                part = self.model.decode(tile.of(latents))[0]
                enlarged(tile, self.spec.scale).add(part, picture)
            work.advance()
        return picture


class Work:
    """Counts what is done of one picture, and lets others take their turns in between."""

    def __init__(self, line: Line, total: int, progress: Progress) -> None:
        self.line = line
        self.total = total
        self.progress = progress
        self.done = 0
        self.redone = 0
        self.seconds = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The device for one call; its time counts."""
        with self.line.turn():
            started = time.perf_counter()
            yield
            self.seconds += time.perf_counter() - started

    def advance(self) -> None:
        """Report one more call."""
        self.done += 1
        self.progress(self.done, self.total)


def number_format(device: Device) -> torch.dtype:
    """The networks' number format: half on CUDA, for the publisher offers it."""
    if device.precision == "auto":
        return torch.float16 if device.device.type == "cuda" else torch.float32
    return HALF_FORMATS.get(device.precision, torch.float32)


def area(tiles: list[Patch]) -> int:
    """Pixels of one of equal tiles."""
    return tiles[0].box.size.pixels


def padded(pixels: Pixels, size: Size) -> Pixels:
    """`pixels` reflected beyond its right and lower border to `size`."""
    height, width = pixels.shape[:2]
    beyond = ((0, size.height - height), (0, size.width - width), (0, 0))
    result: NDArray[Any] = np.pad(pixels, beyond, mode="reflect")
    return result


def noises(size: Size, seed: int, *channels: int) -> list[Tensor]:
    """Gaussian noise (1, c, h, w) for the whole picture, for the input and for the latents.

    Drawn on the CPU in fp32, in the order of diffusers' pipeline: the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, c, size.height, size.width, generator=generator) for c in channels]


def keep_colours(picture: Tensor, source: Tensor) -> None:
    """Give areas of `picture` (3, s·h, s·w) the mean colour they have in `source` (3, h, w).

    Details smaller than about 17 input pixels stay as they are. Both are in 0..1.
    """
    scale = picture.shape[-1] // source.shape[-1]
    drift = source - avg_pool2d(picture[None], scale)[0]
    for _ in range(2):  # twice a box is nearly a bell
        drift = avg_pool2d(drift, 2 * BLUR + 1, 1, BLUR, count_include_pad=False)
    for channel, wrong in zip(picture, drift, strict=True):
        channel.add_(interpolate(wrong[None, None], channel.shape, mode="bilinear")[0, 0])
