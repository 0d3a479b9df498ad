import numpy as np
import pytest
import torch
from PIL import Image

from superres.inference.quantize import to_pixels
from superres.networks.lanczos import LanczosNetwork


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_agrees_with_pillow_inside_the_picture(scale: int) -> None:
    pixels = np.random.default_rng(scale).integers(0, 256, (20, 17, 3), dtype=np.uint8)
    # In floats: Pillow clips 8-bit images between its two passes, where Lanczos overshoots.
    planes = [Image.fromarray(pixels[..., c].astype(np.float32)) for c in range(3)]
    size = (17 * scale, 20 * scale)
    resized = [np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes]
    wanted = np.clip(np.stack(resized, -1), 0, 255)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    made = to_pixels(LanczosNetwork(scale)(x), np.dtype(np.uint8), 3).astype(float)
    rim = slice(4 * scale, -4 * scale)
    assert abs(made - wanted)[rim, rim].max() <= 1
