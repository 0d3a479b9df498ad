"""A pipeline of diffusers on a device: text to image, image to image, and inside a mask."""

import copy
import inspect
import threading
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superres.errors import BadOption, BadSetting, Failed, OutOfMemory, WeightsMissing
from superres.generation.options import PromptSampling
from superres.generation.source import locate_pipeline
from superres.geometry import Size, round_up
from superres.inference.device import Device
from superres.inference.result import Progress
from superres.networks.torchvision_compat import repair_torchvision
from superres.weights.store import Store

__all__ = ["GeneratedImage", "Generator"]

Bytes = NDArray[np.uint8]

# Values in use at once per pixel, for each channel of the widest full-size layer of the decoder,
# and per latent pixel for each of the denoising network's first layer, both with guidance.
_DECODER_LAYERS = 5
_DENOISER_LAYERS = 60
_MAX_TOKENS = 10_000  # a tokenizer that states more has no limit


class GeneratedImage(NamedTuple):
    """An image (h, w, 3), and whether the pipeline's own checker has blackened it."""

    pixels: Bytes
    flagged: bool = False


class Generator:
    """Makes images; safe to call from several threads, which take turns."""

    def __init__(self, reference: str, device: Device, store: Store) -> None:
        """Find and load the pipeline.

        Args:
            reference: A folder, or owner/name@commit of the hub.
            device: Where it runs.
            store: Where downloads go.

        Raises:
            BadSetting: The reference is none, or its pipeline does not make images of text.
            WeightsMissing: Files are not there.
        """
        repair_torchvision()
        from diffusers import AutoPipelineForText2Image, DiffusionPipeline

        self.device = device
        self.name = reference
        dtype = torch.float16 if device.cuda and device.precision in ("auto", "fp16") else None
        dtype = torch.bfloat16 if device.precision == "bf16" else dtype or torch.float32
        folder = locate_pipeline(reference, store, half=dtype == torch.float16)
        try:
            loaded = DiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
            pipeline = AutoPipelineForText2Image.from_pipe(loaded)
        except OSError as error:
            reason = str(error).partition("\n")[0]
            raise WeightsMissing(
                f'generator "{reference}": {reason}', option="generator"
            ) from error
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            message = f'generator "{reference}": no pipeline that makes images of text: {reason}'
            raise BadSetting(message, option="generator") from error
        self._pipeline = pipeline.to(device.device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._turn = threading.Lock()
        self.bytes_per_value = dtype.itemsize

    @property
    def align(self) -> int:
        """What sides of images are multiples of."""
        unet = getattr(self._pipeline, "unet", None)
        levels = len(unet.config.block_out_channels) if unet is not None else 2
        return int(self._pipeline.vae_scale_factor * 2 ** (levels - 1))

    @property
    def native_side(self) -> int:
        """The side of images that the network was trained on, in pixels."""
        side = getattr(self._pipeline, "default_sample_size", None)
        if side is None:
            network = getattr(self._pipeline, "unet", None) or self._pipeline.transformer
            side = network.config.sample_size
        side = max(side) if isinstance(side, list | tuple) else side
        return round_up(int(side * self._pipeline.vae_scale_factor), self.align)

    def estimate_bytes(self, size: Size) -> int:
        """Estimate the memory of activations for an image.

        Args:
            size: Of the image, in pixels.

        Returns:
            Bytes on the device.
        """
        pipeline = self._pipeline
        decoder = pipeline.vae.config.block_out_channels[0] * _DECODER_LAYERS
        unet = getattr(pipeline, "unet", None)
        width = unet.config.block_out_channels[0] if unet is not None else 2048
        latent = 2 * width * _DENOISER_LAYERS / pipeline.vae_scale_factor**2
        return int(size.pixels * (decoder + latent) * self.bytes_per_value)

    def check(self, sampling: PromptSampling, size: Size) -> None:
        """Check what can be told before any work: the prompts and the size. Raises BadOption."""
        takes = inspect.signature(self._pipeline.__call__).parameters
        if sampling.negative_prompt and "negative_prompt" not in takes:
            allowed = "none: the model has no negative prompt"
            raise BadOption("negative_prompt", sampling.negative_prompt, allowed)
        for name in ("prompt", "negative_prompt"):
            self._check_length(name, getattr(sampling, name))
        for name, side in (("width", size.width), ("height", size.height)):
            if side % self.align:
                raise BadOption(name, side, f"a multiple of {self.align}")

    def _check_length(self, name: str, prompt: str) -> None:
        """Raise BadOption for a prompt whose end would not count."""
        tokenizer = getattr(self._pipeline, "tokenizer", None)
        most = getattr(tokenizer, "model_max_length", _MAX_TOKENS) - 2
        if tokenizer is None or most >= _MAX_TOKENS - 2:
            return
        with self._turn:  # a tokenizer is not safe to share
            tokens = len(tokenizer.tokenize(prompt))
        if tokens > most:
            allowed = f"text of at most {most} tokens (about {most * 3 // 4} words), not {tokens}"
            raise BadOption(name, prompt, allowed)

    def imagine(self, sampling: PromptSampling, size: Size, progress: Progress) -> GeneratedImage:
        """Make an image of a prompt.

        Args:
            sampling: The prompt and how the image is made.
            size: Of the image; its sides are multiples of `align`.
            progress: Called after every step; an error it raises ends the work.

        Returns:
            The image.

        Raises:
            OutOfMemory: The device cannot hold it.
            Failed: The network's output is not finite.
        """
        asked = {"width": size.width, "height": size.height}
        return self._run(self._pipeline, sampling, asked, progress, sampling.steps)

    def restyle(
        self, image: Bytes, sampling: PromptSampling, change: float, progress: Progress
    ) -> GeneratedImage:
        """Change an image towards a prompt.

        Args:
            image: (h, w, 3).
            sampling: The prompt and how the image is made.
            change: 0..1, how much of the steps is done: near 0 the image stays as it is.
            progress: Called after every step.

        Returns:
            An image of the same size.

        Raises:
            OutOfMemory: The device cannot hold it.
            Failed: The network's output is not finite.
        """
        from diffusers import AutoPipelineForImage2Image

        pipeline = AutoPipelineForImage2Image.from_pipe(self._pipeline)
        padded, size = self._pad(image)
        steps = max(1, int(sampling.steps * change))
        # Fewer than one step of the schedule would be none.
        asked = {"image": _to_batch(padded), "strength": max(change, 1 / sampling.steps)}
        made = self._run(pipeline, sampling, asked, progress, steps)
        return made._replace(pixels=made.pixels[: size.height, : size.width])

    def inpaint(
        self, image: Bytes, mask: Bytes, sampling: PromptSampling, progress: Progress
    ) -> GeneratedImage:
        """Make what lies under a mask anew; all else stays as it is, to the bit.

        Args:
            image: (h, w, 3).
            mask: (h, w), 255 where the image is damaged, 0 where it stays.
            sampling: The prompt and how the image is made.
            progress: Called after every step.

        Returns:
            An image of the same size.

        Raises:
            OutOfMemory: The device cannot hold it.
            Failed: The network's output is not finite.
        """
        from diffusers import AutoPipelineForInpainting

        pipeline = AutoPipelineForInpainting.from_pipe(self._pipeline)
        padded, size = self._pad(image)
        hidden, _ = self._pad(mask[..., None])
        height, width = padded.shape[:2]
        asked = {
            "image": _to_batch(padded),
            "mask_image": (_to_batch(hidden) > 0.5).float(),
            "strength": 1.0,
            "width": width,
            "height": height,
        }
        made = self._run(pipeline, sampling, asked, progress, sampling.steps)
        whole = made.pixels[: size.height, : size.width]
        share = mask[..., None].astype(np.float32) / 255
        mixed = whole * share + image * (1 - share)
        return made._replace(pixels=np.rint(mixed).astype(np.uint8))

    def _pad(self, image: Bytes) -> tuple[Bytes, Size]:
        """Return an image whose sides are multiples, its last row and column repeated; and its
        size.
        """
        height, width = image.shape[:2]
        below, beside = -height % self.align, -width % self.align
        padded = np.pad(image, ((0, below), (0, beside), (0, 0)), mode="edge")
        return padded, Size(width, height)

    def _run(
        self,
        pipeline: Any,
        sampling: PromptSampling,
        asked: dict[str, Any],
        progress: Progress,
        steps: int,
    ) -> GeneratedImage:
        """Call a pipeline; its scheduler is a copy, since it has a state."""

        def notify(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            progress(min(step + 1, steps), steps)
            return tensors

        if sampling.negative_prompt:
            asked["negative_prompt"] = sampling.negative_prompt
        with self._turn, torch.inference_mode():
            pipeline.scheduler = copy.deepcopy(pipeline.scheduler)
            try:
                made = pipeline(
                    prompt=sampling.prompt,
                    num_inference_steps=sampling.steps,
                    guidance_scale=sampling.guidance_scale,
                    generator=torch.Generator().manual_seed(sampling.seed),
                    output_type="np",
                    callback_on_step_end=notify,
                    **asked,
                )
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                message = f"{self.name}: the image does not fit into device memory"
                raise OutOfMemory(message, allowed="a smaller image") from error
        values = made.images[0]
        if not np.isfinite(values).all():
            raise Failed(f"{self.name}: the image is not finite")
        flagged = getattr(made, "nsfw_content_detected", None) or [False]
        return GeneratedImage(np.rint(values * 255).astype(np.uint8), bool(flagged[0]))


def _to_batch(image: Bytes) -> torch.Tensor:
    """Return an image as (1, c, h, w) in 0..1."""
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
