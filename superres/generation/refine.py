"""An enlarged image gone over once more by a generator, tile by tile: detail at the new size."""

import numpy as np
import torch
from numpy.typing import NDArray

from superres.diffusion.blending import make_blend_tiles
from superres.generation.generator import Generator
from superres.generation.options import PromptSampling
from superres.geometry import Size
from superres.inference.result import Progress

__all__ = ["refine"]


def refine(
    image: NDArray[np.uint8],
    generator: Generator,
    sampling: PromptSampling,
    change: float,
    progress: Progress,
) -> NDArray[np.uint8]:
    """Go over an image in tiles of the size that the generator was trained on.

    Args:
        image: (h, w, 3).
        generator: What changes it.
        sampling: The prompt and how tiles are made.
        change: 0..1, how much a tile may change; 0.2 to 0.4 adds detail and keeps the content.
        progress: Called after every step of every tile.

    Returns:
        The image, its tiles faded into each other.
    """
    align, edge = generator.align, generator.native_side
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % align), (0, -width % align), (0, 0)), mode="edge")
    size = Size(padded.shape[1], padded.shape[0])
    tiles = make_blend_tiles(size, edge, max(align, edge // 16 // align * align), align)
    result = torch.zeros(3, size.height, size.width)
    for number, tile in enumerate(tiles):
        box = tile.box

        def notify(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(tiles) * total)

        # Every tile its own noise: the same would show as a pattern.
        own = sampling._replace(seed=(sampling.seed + number) % 2**63)
        part = padded[box.top : box.bottom, box.left : box.right]
        made = generator.restyle(part, own, change, notify).pixels
        tile.add(torch.from_numpy(made).permute(2, 0, 1).float(), result)
    levels = result.permute(1, 2, 0).numpy()[:height, :width]
    refined: NDArray[np.uint8] = np.rint(levels).clip(0, 255).astype(np.uint8)
    return refined
