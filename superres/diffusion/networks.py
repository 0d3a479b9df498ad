"""The networks of the Stable Diffusion x4 upscaler, from diffusers and transformers.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
Importing this module is cheap; the libraries are imported when the networks are built. Only
safetensors are read, only from this machine, and only into the classes named here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from superres.errors import SuperresError, WeightsCorrupt, WeightsMismatch
from superres.networks.torchvision_compat import repair_torchvision

TOKENS = 77  # CLIP's, where the tokenizer's own settings do not say
NAMED = 3  # keys that an error message names


def load_folder(folder: Path, variants: Mapping[str, str | None], dtype: torch.dtype) -> Any:
    """Return the StableDiffusionUpscalePipeline of a folder in diffusers' layout.

    `variants` says for `unet`, `vae` and `text_encoder` whether to read the "fp16" files. The
    networks compute in `dtype`, but for a decoder that needs fp32. Raises WeightsMismatch or
    WeightsCorrupt.
    """
    repair_torchvision()
    from diffusers import AutoencoderKL, StableDiffusionUpscalePipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    def network(kind: Any, part: str) -> Any:
        return complete(kind, folder, part, variants[part], dtype)

    pipeline = _name_errors(
        folder,
        lambda: StableDiffusionUpscalePipeline(
            vae=network(AutoencoderKL, "vae"),
            text_encoder=network(CLIPTextModel, "text_encoder"),
            unet=network(UNet2DConditionModel, "unet"),
            **settings(folder),
        ),
    )
    return ready(pipeline, folder)


def load_single_file(path: Path, folder: Path, dtype: torch.dtype) -> Any:
    """Return the same of the publisher's one file; tokenizer and settings come from `folder`."""
    repair_torchvision()
    from diffusers import StableDiffusionUpscalePipeline

    pipeline = _name_errors(
        path,
        lambda: StableDiffusionUpscalePipeline.from_single_file(
            str(path),
            config=str(folder),
            torch_dtype=dtype,
            local_files_only=True,
            **settings(folder),
        ),
    )
    return ready(pipeline, path)


def settings(folder: Path) -> dict[str, Any]:
    """Return what a pipeline has beside its networks."""
    from diffusers import DDIMScheduler, DDPMScheduler
    from transformers import CLIPTokenizer

    own = {"local_files_only": True}
    return {
        "tokenizer": CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), **own),
        "scheduler": DDIMScheduler.from_pretrained(str(folder / "scheduler"), **own),
        "low_res_scheduler": DDPMScheduler.from_pretrained(
            str(folder / "low_res_scheduler"), **own
        ),
    }


def complete(kind: Any, folder: Path, part: str, variant: str | None, dtype: torch.dtype) -> Any:
    """Return one network with every value from its file: a missing one would otherwise be
    random.
    """
    network, loading = kind.from_pretrained(
        str(folder),
        subfolder=part,
        variant=variant,
        torch_dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    lacking = sorted(loading["missing_keys"])
    if lacking:
        raise _mismatch(folder, part, kind.__name__, lacking)
    return network


def _mismatch(source: Path, part: str, kind: str, lacking: list[str]) -> WeightsMismatch:
    """Return the error for a network that has values its files lack."""
    return WeightsMismatch(
        f'weights of {part} in "{source}" do not fit {kind}: {len(lacking)} missing, '
        f"e.g. {', '.join(lacking[:NAMED])}"
    )


def _name_errors(source: Path, build: Callable[[], Any]) -> Any:
    """Build, and turn what the libraries raise about the files into an error with a name."""
    try:
        return build()
    except SuperresError:
        raise
    except OSError as error:
        raise WeightsCorrupt(f'"{source}" cannot be read: {line(error)}') from error
    except Exception as error:  # two libraries and their parsers, each with errors of its own
        raise WeightsMismatch(f'"{source}" does not fit: {line(error)}') from error


def line(error: Exception) -> str:
    """Return one line about `error`."""
    return f"{type(error).__name__} {next(iter(str(error).splitlines()), '')[:200]}"


def ready(pipeline: Any, source: Path) -> Any:
    """Return `pipeline` for use only, once it is an upscaler of four times with values
    everywhere.
    """
    networks = {"unet": pipeline.unet, "vae": pipeline.vae, "text_encoder": pipeline.text_encoder}
    for name, network in networks.items():
        lacking = [key for key, value in network.named_parameters() if value.is_meta]
        if lacking:
            raise _mismatch(source, name, type(network).__name__, lacking)
        network.eval().requires_grad_(False)
    unet, vae = pipeline.unet.config, pipeline.vae.config
    refuse(source, "input channels", vae.latent_channels + 3, unet.in_channels)
    refuse(source, "latent channels", vae.latent_channels, unet.out_channels)
    refuse(source, "times smaller latents", 4, 2 ** (len(vae.block_out_channels) - 1))
    refuse(source, "noise levels", True, bool(unet.num_class_embeds))
    if vae.force_upcast:
        pipeline.vae.float()
    limit = pipeline.text_encoder.config.max_position_embeddings or TOKENS
    pipeline.tokenizer.model_max_length = min(pipeline.tokenizer.model_max_length, limit)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def refuse(source: Path, what: str, expected: object, found: object) -> None:
    """Raise WeightsMismatch unless `found` is what an upscaler of four times has."""
    if found != expected:
        raise WeightsMismatch(
            f'"{source}" is no Stable Diffusion x4 upscaler: {found} {what}, expected {expected}'
        )


def copy_in_fp32(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return every parameter and buffer of `network` in fp32, for torch.func.functional_call."""
    values = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: v.float() if v.is_floating_point() else v for name, v in values.items()}
