from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmarks.peers.case import Case
from benchmarks.peers.publisher import Setting, realesrganer
from benchmarks.peers.weights import random
from superres.catalogue import CATALOGUE


@pytest.mark.parametrize(
    "setting",
    [Setting(), Setting(pre_pad=0), Setting(tile=16), Setting(tile=16, tile_pad=3, pre_pad=0)],
    ids=str,
)
def test_the_pixels_it_computes_are_those_its_network_sees(
    setting: Setting, tmp_path: Path
) -> None:
    spec = CATALOGUE["realesrgan.animevideo-x4"]
    pixels = np.random.default_rng(0).integers(0, 256, (23, 41, 3), dtype=np.uint8)
    run = realesrganer(setting)(Case(spec, random(spec), "random", pixels, tmp_path, 1))
    seen: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if type(module).__name__ == "SRVGGNetCompact":
            seen.append(inputs[0][0, 0].numel())

    with register_module_forward_pre_hook(note):
        made = run()
    assert made.pixels.shape == (92, 164, 3)
    assert made.computed == sum(seen)
