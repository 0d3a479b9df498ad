"""A Stable Diffusion x4 upscaler of the real classes: tiny, with random values."""

import json
import re
from pathlib import Path
from typing import Any

import torch

from superres.networks.torchvision_compat import repair_torchvision

LETTERS = "abcdefghijklmnopqrstuvwxyz"
START, END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder: Path) -> int:
    """The publisher's four tokenizer files, for words of small letters; the number of tokens."""
    merges = ["c a", "ca t</w>", "d o", "do g</w>"]
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    tokens += [merge.replace(" ", "") for merge in merges] + [START, END]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {**special, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(tokens)


def make_vae(**settings: Any) -> Any:
    """A decoder that enlarges latents four times."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        layers_per_block=1,
        block_out_channels=(8, 8, 16),
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        latent_channels=4,
        norm_num_groups=4,
        **settings,
    )


def make_text_encoder(tokens: int) -> Any:
    """An encoder of prompts for a tokenizer of so many tokens."""
    from transformers import CLIPTextConfig, CLIPTextModel

    settings = CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act="gelu",
        bos_token_id=tokens - 2,
        eos_token_id=tokens - 1,
        pad_token_id=tokens - 1,
    )
    return CLIPTextModel(settings)


def tiny_pipeline(folder: Path) -> Any:
    """A pipeline in the publisher's proportions; its tokenizer's files lie in `folder`."""
    repair_torchvision()
    from diffusers import (
        DDIMScheduler,
        DDPMScheduler,
        StableDiffusionUpscalePipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTokenizer

    size = write_tokenizer(folder / "tokenizer")
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=7,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
        only_cross_attention=(True, True, True, False),
        num_class_embeds=1000,
        use_linear_projection=True,
    )
    vae = make_vae(sample_size=16, scaling_factor=0.08333)
    noise = {"beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
    pipeline = StableDiffusionUpscalePipeline(
        vae=vae,
        text_encoder=make_text_encoder(size),
        tokenizer=CLIPTokenizer.from_pretrained(str(folder / "tokenizer")),
        unet=unet,
        low_res_scheduler=DDPMScheduler(**{**noise, "beta_schedule": "squaredcos_cap_v2"}),
        scheduler=DDIMScheduler(
            **noise,
            prediction_type="v_prediction",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        max_noise_level=350,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def publish(pipeline: Any, folder: Path) -> Path:
    """`folder`, with the files of `pipeline` laid out as the publisher has them."""
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    (folder / "tokenizer").rmdir()
    write_tokenizer(folder / "tokenizer")
    return folder


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding": "label_emb",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
TEXT = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding": "token_embedding",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "fc1": "c_fc",
    "fc2": "c_proj",
    "self_attn": "attn",
}


def single_file(pipeline: Any) -> dict[str, torch.Tensor]:
    """The values of `pipeline` under the names of the publisher's one file."""
    networks = (
        ("model.diffusion_model.", unet_name, pipeline.unet),
        ("first_stage_model.", vae_name, pipeline.vae),
    )
    state = {
        prefix + name(key): value
        for prefix, name, network in networks
        for key, value in network.state_dict().items()
    }
    state |= text_values(pipeline.text_encoder.state_dict())
    return {key: value.clone().contiguous() for key, value in state.items()}


def renamed(key: str, names: dict[str, str]) -> str:
    for ours, theirs in names.items():
        key = re.sub(rf"(^|\.){re.escape(ours)}(\.|$)", rf"\g<1>{theirs}\g<2>", key)
    return key


def unet_name(key: str) -> str:
    """The name in the publisher's file, whose blocks are counted without levels; one layer each."""
    match = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", key)
    if match is None:
        return renamed(renamed(key, UNET), RESNET if "resnets" in key else {}).replace(
            "mid_block", "middle_block"
        )
    way, level, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if kind == "downsamplers":
        return f"input_blocks.{2 * level + 2}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{2 * level + 1}.2.{rest}"
    number = 2 * level + layer + (way == "down")
    part = "0." + renamed(rest, RESNET) if kind == "resnets" else f"1.{rest}"
    return f"{'input' if way == 'down' else 'output'}_blocks.{number}.{part}"


def vae_name(key: str) -> str:
    """The name in the publisher's file, which counts the decoder's levels from the last."""
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    if "mid_block.attentions.0" in key:
        return renamed(key.replace("mid_block.attentions.0", "mid.attn_1"), ATTENTION)
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{2 - int(m[1])}.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{2 - int(m[1])}.upsample", key)


def text_values(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """OpenCLIP's names; the three matrices of attention are one there."""
    prefix = "cond_stage_model.model."
    result: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = renamed(key.removeprefix("text_model."), TEXT)
        match = re.fullmatch(r"(.*\.attn)\.q_proj\.(weight|bias)", name)
        if match:
            parts = [state[key.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            result[f"{prefix}{match[1]}.in_proj_{match[2]}"] = torch.cat(parts)
        elif "k_proj" not in name and "v_proj" not in name and "position_ids" not in name:
            mlp = name.replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj")
            result[prefix + mlp] = value
    return result
