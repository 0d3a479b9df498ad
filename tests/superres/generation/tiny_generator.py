"""A Stable Diffusion text-to-image pipeline of the real classes: tiny, with random values."""

from pathlib import Path
from typing import Any

import torch

from superres.networks.torchvision_compat import repair_torchvision
from tests.superres.diffusion.tiny_diffusion import make_text_encoder, make_vae, write_tokenizer


def write_pipeline(folder: Path, **save: Any) -> Path:
    """A folder as diffusers writes it; images of 32x32 pixels are its own size."""
    repair_torchvision()
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTokenizer

    size = write_tokenizer(folder.with_name(f"{folder.name}-tokenizer"))
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = make_vae(sample_size=32)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=make_text_encoder(size),
        tokenizer=CLIPTokenizer.from_pretrained(folder.with_name(f"{folder.name}-tokenizer")),
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, **save)
    return folder
