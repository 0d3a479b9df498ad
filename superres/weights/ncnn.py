"""Read models of ncnn: the layers in a `.param` text, their numbers in a `.bin` file.

Only the layers of Real-ESRGAN's networks are known, and of the number formats fp32 and fp16. The
format is that of ncnn's wiki, "param and model file structure", and of its `modelbin.cpp`. Time and
memory grow with the bytes of both files, and nothing in them is trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.problem import quote
from superres.errors import WeightsCorrupt
from superres.model_spec import StateDict

__all__ = ["convert_ncnn"]

_MAGIC = "7767517"
_FP16, _FP32 = 0x01306B47, 0x0002C056  # what a file says of the numbers that follow; 0 is fp32 too
_MAX_STRUCTURE_BYTES = 4 << 20  # x4plus, of 999 layers, has 116 kB
_WITHOUT_NUMBERS = frozenset(
    {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle"}
)
# Of a Convolution, by the number that a .param gives them.
_OUTPUTS, _WIDTH, _HAS_BIAS, _COUNT, _INT8, _HEIGHT, _DYNAMIC = 0, 1, 5, 6, 8, 11, 19


@dataclass(frozen=True)
class _Layer:
    """One line of a `.param`: what a layer does, and its parameters by number."""

    kind: str
    name: str
    parameters: dict[int, int] = field(default_factory=dict)

    def count(self, number: int, default: int | None = None) -> int:
        """Return a parameter that is no less than 1."""
        value = self.parameters.get(number, default)
        if value is None or value < 1:
            raise WeightsCorrupt(
                f"{self.kind} {quote(self.name)}: parameter {number} is {value}, "
                "expected a whole number from 1"
            )
        return value


def convert_ncnn(structure: bytes, numbers: bytes, names: Sequence[str]) -> StateDict:
    """Return the tensors of a model of ncnn under PyTorch's names.

    Args:
        structure: The `.param` file, in its form of text.
        numbers: The `.bin` file.
        names: Of the layers that have numbers, in the order of the files: `conv_first`, `body.0` …

    Returns:
        `weight` and, where there is one, `bias` of each layer, in fp16 or fp32 as in the file.

    Raises:
        WeightsCorrupt: The files are not a model of these layers.
    """
    layers = [layer for layer in _read_layers(structure) if layer.kind not in _WITHOUT_NUMBERS]
    if len(layers) != len(names):
        raise WeightsCorrupt(f"{len(layers)} layers have numbers, expected {len(names)}")
    reader = _NumberReader(numbers)
    state = {
        f"{name}.{part}": tensor
        for layer, name in zip(layers, names, strict=True)
        for part, tensor in _read_tensors(layer, reader).items()
    }
    if reader.position != len(numbers):
        raise WeightsCorrupt(
            f"the layers take {reader.position} bytes of numbers, there are {len(numbers)}"
        )
    return state


def _read_layers(structure: bytes) -> list[_Layer]:
    """Return the layers of a `.param` in their order."""
    if len(structure) > _MAX_STRUCTURE_BYTES:
        raise WeightsCorrupt(
            f"a structure of {len(structure)} bytes: expected at most {_MAX_STRUCTURE_BYTES}"
        )
    lines = structure.decode("latin-1").splitlines()
    if len(lines) < 2 or lines[0].strip() != _MAGIC:
        first = lines[0][:20] if lines else ""
        raise WeightsCorrupt(f"the structure begins with {quote(first)}, expected {_MAGIC}")
    layers = [_read_layer(line) for line in lines[2:] if line.strip()]
    promised = lines[1].split()[:1]
    if promised != [str(len(layers))]:
        raise WeightsCorrupt(f"{len(layers)} layers follow {quote(lines[1][:40])}")
    return layers


def _read_layer(line: str) -> _Layer:
    """Return the layer of one line: kind, name, two counts, that many blobs, parameters."""
    words = line.split()
    try:
        kind, name = words[:2]
        blobs = int(words[2]) + int(words[3])
        if not 0 <= blobs <= len(words) - 4:
            raise ValueError
        pairs = [word.partition("=") for word in words[4 + blobs :]]
        # Lists, whose numbers are negative, and fractions say how to compute, not how to read.
        known = {int(key): value for key, _, value in pairs}
        parameters = {key: int(v) for key, v in known.items() if key >= 0 and "." not in v}
    except (ValueError, IndexError) as error:
        raise WeightsCorrupt(f"a line of the structure is no layer: {quote(line[:80])}") from error
    return _Layer(kind, name, parameters)


def _read_tensors(layer: _Layer, reader: "_NumberReader") -> StateDict:
    """Return the tensors of one layer."""
    if layer.kind == "PReLU":
        return {"weight": reader.read_fp32(layer.count(0))}
    if layer.kind != "Convolution":
        known = ", ".join(sorted({"Convolution", "PReLU", *_WITHOUT_NUMBERS}))
        raise WeightsCorrupt(f"layer {quote(layer.kind)}: expected one of {known}")
    if layer.parameters.get(_INT8) or layer.parameters.get(_DYNAMIC):
        raise WeightsCorrupt(f"layer {quote(layer.name)} has int8 or dynamic weights")
    outputs, width, count = (layer.count(number) for number in (_OUTPUTS, _WIDTH, _COUNT))
    height = layer.count(_HEIGHT, width)
    inputs, rest = divmod(count, outputs * height * width)
    if rest:
        raise WeightsCorrupt(
            f"layer {quote(layer.name)}: {count} numbers are no {outputs} filters of "
            f"{height}×{width}"
        )
    tensors = {"weight": reader.read_flagged(count).reshape(outputs, inputs, height, width)}
    if layer.parameters.get(_HAS_BIAS):
        tensors["bias"] = reader.read_fp32(outputs)
    return tensors


class _NumberReader:
    """Reads numbers one after the other; every read is checked against what is left."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def read_flagged(self, count: int) -> Tensor:
        """Return numbers that are preceded by their format; fp16 ends at a multiple of 4 bytes."""
        flag = int(self._take(1, "<u4")[0])
        if flag == _FP16:
            values = self._take(count, "<f2")
            self.position += -self.position % 4
            return torch.from_numpy(values)
        if flag in (0, _FP32):
            return self.read_fp32(count)
        raise WeightsCorrupt(
            f"numbers of the format 0x{flag:08X}: expected fp16 (0x{_FP16:08X}) or fp32 (0)"
        )

    def read_fp32(self, count: int) -> Tensor:
        """Return plain numbers of four bytes."""
        return torch.from_numpy(self._take(count, "<f4"))

    def _take(self, count: int, kind: str) -> NDArray[np.generic]:
        """Return a copy of the next numbers, in this machine's order of bytes."""
        dtype = np.dtype(kind)
        left = len(self.data) - self.position
        if count * dtype.itemsize > left:
            raise WeightsCorrupt(
                f"the numbers end early: {count * dtype.itemsize} bytes wanted at "
                f"{self.position}, {left} are there"
            )
        values = np.frombuffer(self.data, dtype, count, self.position)
        self.position += count * dtype.itemsize
        return values.astype(dtype.newbyteorder("="))
