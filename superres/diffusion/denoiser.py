"""The networks of the Stable Diffusion x4 upscaler in memory, and how an image is cut for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from superres.diffusion.blending import BlendTile, make_blend_tiles
from superres.diffusion.files import locate_model
from superres.diffusion.networks import copy_in_fp32, load_folder, load_single_file
from superres.diffusion.options import Sampling
from superres.diffusion.spec import DiffusionSpec
from superres.errors import BadOption, Failed, TooLarge
from superres.geometry import Size, round_up
from superres.inference.device import HALF as HALF_FORMATS
from superres.inference.device import Device
from superres.weights.store import Store

TILE = 128  # input pixels a side: what the model was trained on
MIN_TILE = 64  # input pixels a side that the network sees at least
MAX_PIXELS = 2**20  # input pixels of one image
_DECODER_TILES = (96, 64, 32)  # smaller tiles of the decoder, in input pixels
# Peak bytes of activations per input pixel of a tile in fp32, a quarter more than all tensors that
# live at once in the published networks (15.7 and 49.2 kB): the libraries' workspace.
UNET_BYTES = 19_600
VAE_BYTES = 61_500
# Per input pixel of the image: latents and scheduler 120, decoded 192, colours 128, result 96.
BYTES_PER_PIXEL = 540


class DiffusionPlan(NamedTuple):
    """How an image is cut; edges in input pixels, `memory` in bytes."""

    size: Size  # padded
    tiles: list[BlendTile]
    is_one_call: bool  # with and without the prompt in one call
    decoder_tiles: list[BlendTile]
    memory: int


class Denoiser:
    """The publisher's networks on one device: text encoder, denoising network, decoder."""

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

        `max_pixels` is the largest image; `keep_colours` takes the colour of areas from the
        input: the model alone shifts it. Raises WeightsMissing, WeightsCorrupt or WeightsMismatch.
        """
        self.spec: DiffusionSpec = spec
        self.device = device
        self.max_pixels = max_pixels
        self.keep_colours = keep_colours
        self.dtype = _choose_dtype(device)
        source = locate_model(spec.release, store, weights, half=self.dtype == torch.float16)
        if source.single:
            self.parts = load_single_file(source.single, source.folder, self.dtype)
        else:
            self.parts = load_folder(source.folder, source.variants, self.dtype)
        self.parts.to(device.device)
        self.parts.unet.to(memory_format=device.layout)
        self.parts.vae.to(memory_format=device.layout)
        self.align = 2 ** (len(self.parts.unet.config.block_out_channels) - 1)
        self.max_bytes: int | None = None  # bytes, learned from running out of memory

    def check_length(self, name: str, prompt: str) -> None:
        """Raise BadOption where a prompt has more tokens than the model reads."""
        # Two tokens mark the beginning and the end.
        most = self.parts.tokenizer.model_max_length - 2
        tokens = len(self.parts.tokenizer.tokenize(prompt))
        if tokens > most:
            allowed = f"text of at most {most} tokens (about {most * 3 // 4} words), not {tokens}"
            raise BadOption(name, prompt, allowed)

    def plan(self, size: Size, tile: int, overlap: int | None) -> DiffusionPlan:
        """Return how an image of `size` is cut so that it fits. Raises TooLarge with both
        numbers.
        """
        if size.pixels > self.max_pixels:
            raise TooLarge(
                f"{size} is {size.pixels} pixels: at most {self.max_pixels} are allowed with "
                f"{self.spec.name}",
                code="PIXELS",
                allowed=f"at most {self.max_pixels} pixels",
            )
        memory = min(self.device.free(), self.max_bytes or self.device.free())
        overlap = self.spec.overlap if overlap is None else overlap
        fitting = (p for p in self.list_plans(size, tile, overlap) if p.memory <= memory)
        plan = next(fitting, None)
        if plan is None:
            least = min(plan.memory for plan in self.list_plans(size, tile, overlap))
            raise TooLarge(
                f"{size} pixels need about {least >> 20} MB with {self.spec.name}; "
                f"{memory >> 20} MB are allowed (memory_limit_mb)",
                code="MEMORY",
                allowed=f"at least {-(-least >> 20)} MB, a smaller image or a smaller tile",
            )
        return plan

    def list_plans(self, size: Size, tile: int, overlap: int) -> Iterator[DiffusionPlan]:
        """Yield the ways to cut an image, best first. The tile's edge changes the result, so that
        only as a last resort.
        """
        padded = Size(*(max(round_up(side, self.align), MIN_TILE) for side in size))
        pixel = UNET_BYTES // (1 if self.dtype == torch.float32 else 2)
        for edge in [max(tile, MIN_TILE)] if tile else [TILE, MIN_TILE]:
            tiles = make_blend_tiles(padded, edge, overlap, self.align)
            for together in (True, False):
                step = _count_tile_pixels(tiles) * pixel * (2 if together else 1)
                for decoder in (edge, *(smaller for smaller in _DECODER_TILES if smaller < edge)):
                    decoded = make_blend_tiles(padded, decoder, overlap, self.align)
                    most = (
                        max(step, _count_tile_pixels(decoded) * VAE_BYTES)
                        + padded.pixels * BYTES_PER_PIXEL
                    )
                    yield DiffusionPlan(padded, tiles, together, decoded, most)

    def embed_prompts(self, asked: Sampling) -> Tensor:
        """Return what the text encoder makes of the prompts: (2 or 1, tokens, c), without
        and with.
        """
        given, other = self.parts.encode_prompt(
            asked.prompt, self.device.device, 1, asked.guided, asked.negative_prompt
        )
        texts: Tensor = torch.cat([other, given]) if asked.guided else given
        return texts

    def predict(self, x: Tensor, step: Tensor, texts: Tensor, level: int) -> tuple[Tensor, bool]:
        """Return the network's result in fp32 for each of `texts`; whether fp32 had to be used.

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
            (out,) = functional_call(unet, copy_in_fp32(unet), (x, step), given)
        return self.check_finite(out), again

    def decode(self, latents: Tensor) -> Tensor:
        """Return the image of `latents`, (1, 3, 4·h, 4·w), in 0..1. Raises Failed if not
        finite.
        """
        vae = self.parts.vae
        (out,) = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)
        return self.check_finite(out).div(2).add(0.5).clamp(0, 1)

    def check_finite(self, x: Tensor) -> Tensor:
        """Return `x` in fp32. Raises Failed where it has NaN or infinity: that would become
        black.
        """
        if not bool(torch.isfinite(x).all()):
            raise Failed(f"{self.spec.name} gave numbers that are not finite", code="NON_FINITE")
        return x.float()


def _choose_dtype(device: Device) -> torch.dtype:
    """Return the networks' number format: half on CUDA, for the publisher offers it."""
    if device.precision == "auto":
        return torch.float16 if device.device.type == "cuda" else torch.float32
    return HALF_FORMATS.get(device.precision, torch.float32)


def _count_tile_pixels(tiles: list[BlendTile]) -> int:
    """Return pixels of one of equal tiles."""
    return tiles[0].box.size.pixels
