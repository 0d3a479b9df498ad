from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.ncnn_files import HALF, Files, layers

PARAM = """7767517
3 3
Input        input  0 1 data
Convolution  conv   1 1 data a 0=2 1=3 4=1 5=1 6=54
PReLU        act    1 1 a b 0=2
Convolution  last   1 1 b output 0=1 1=1 5=1 6=3
"""


def test_numbers_come_back_in_the_order_of_the_layers(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    kernel, last = draw.random(54).astype("<f2"), draw.random(3).astype("<f2")
    bias, slope, end = (draw.random(n).astype("<f4") for n in (2, 2, 1))
    tag = np.array([HALF], "<u4").tobytes()
    content = tag + kernel.tobytes() + bias.tobytes() + slope.tobytes()
    content += tag + last.tobytes() + b"\0\0" + end.tobytes()  # three halves fill two words
    files = Files(tmp_path / "m.param", tmp_path / "m.bin")
    files.param.write_text(PARAM)
    files.numbers.write_bytes(content)
    expected = [
        torch.from_numpy(part.astype(np.float32)) for part in (kernel, bias, slope, last, end)
    ]
    for made, wanted in zip(layers(files), expected, strict=True):
        assert torch.equal(made, wanted)
