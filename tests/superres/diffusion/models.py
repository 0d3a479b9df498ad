from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from superres.diffusion.model import DiffusionModel
from superres.diffusion.spec import SPEC
from superres.inference.device import Device, Precision
from superres.weights.store import Store

CPU = torch.device("cpu")
QUICK = {"steps": 2, "seed": 7, "prompt": "cat"}
Pixels = np.ndarray[Any, Any]


def loaded(
    folder: Path | None,
    store: Store,
    memory: int | None = 2**31,
    precision: Precision = "auto",
    **options: Any,
) -> DiffusionModel:
    return DiffusionModel(SPEC, Device(CPU, precision, memory), store, folder, **options)


def picture(width: int, height: int, channels: int = 3, dtype: Any = np.uint8) -> Pixels:
    most = np.iinfo(dtype).max
    made: Pixels = np.random.default_rng(3).integers(0, most + 1, (height, width, channels), dtype)
    return made


def made(model: DiffusionModel, pixels: Pixels, tile: int = 0, **options: Any) -> Pixels:
    return model.upscaler(**{**QUICK, **options}).upscale(pixels, tile).pixels


def spoilt(folder: Path, factor: float) -> None:
    """The last layer's values times `factor`."""
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_out.weight"] = state["conv_out.weight"] * factor
    save_file(state, file, {"format": "pt"})
