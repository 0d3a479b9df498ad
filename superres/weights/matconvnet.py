"""Weights that were published for MATLAB: MatConvNet's DagNN struct in a `.mat` file of version 5.

Sources: Vedaldi and Lenc, "MatConvNet: Convolutional Neural Networks for MATLAB", 2015, chapter 4;
MathWorks, "MAT-File Format", level 5. It is read here and not by scipy, whose compiled reader
crashed or hung the process on 64 of 3,468 copies of a small file that each had one byte changed.
"""

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import unpack_from
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.problem import quote
from superres.errors import WeightsCorrupt
from superres.model_spec import StateDict

HEADER = 128  # bytes: a text, then the version and the byte order
_LITTLE_ENDIAN_5 = b"\x00\x01IM"
LARGEST = 64 << 20  # bytes of one variable: twenty times the largest LapSRN

# Types of elements that hold others, classes of matrices, and types of stored numbers.
MATRIX, COMPRESSED = 14, 15
STRUCT, TEXT, DOUBLE, SINGLE = 2, 4, 6, 7
_COMPLEX = 0x08  # in the byte after the class
NUMBERS = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "bBhHiIfdqQ", strict=True))
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}
PARAMETER = re.compile(r"([A-Za-z]\w*)_([fb])", re.ASCII)


class MatFormatError(Exception):
    """What is wrong with the content of a file, for a message that names the file."""


class MatElement(NamedTuple):
    """A piece of a file: the number of its type, and its bytes."""

    type: int
    data: memoryview


class MatMatrix(NamedTuple):
    """A MATLAB variable or field; what `parts` mean depends on `kind`, its class."""

    kind: int
    complex: bool
    shape: tuple[int, ...]
    name: str
    parts: list[MatElement]


def load_matconvnet(path: Path) -> StateDict:
    """Return the state dict in the MatConvNet file at `path`: `x_f` is `x.weight`, `x_b` is
    `x.bias`.

    Filters (h, w, in, out) become (out, in, h, w); those of transposed convolutions, (h, w, out,
    in) there, become (in, out, h, w): both as torch has them, fp32. Raises WeightsCorrupt where it
    is not a struct `net` whose `params` are named arrays of finite numbers, OSError where it cannot
    be read.
    """
    data = path.read_bytes()
    try:
        return _make_state_dict(_find_variable(data, "net"))
    except MatFormatError as error:
        expected = "expected the publisher's MatConvNet file, unchanged"
        raise WeightsCorrupt(f'weights file "{path}": {error}; {expected}') from error


def _make_state_dict(net: MatMatrix) -> StateDict:
    """Return the parameters of `net` as torch names and shapes them."""
    outer = _read_structs(net, "net", "params")
    if len(outer) != 1:
        raise MatFormatError(f"net has {len(outer)} elements, not one")
    state: StateDict = {}
    for param in _read_structs(outer[0]["params"], "net.params", "name", "value"):
        key, tensor = _read_entry(read_text(param["name"]), param["value"])
        if key in state:
            raise MatFormatError(f"net.params has {key} twice")
        state[key] = tensor
    if not state:
        raise MatFormatError("net.params is empty")
    return state


def _read_entry(name: str, value: MatMatrix) -> tuple[str, Tensor]:
    """Return one parameter as torch names and shapes it."""
    parts = PARAMETER.fullmatch(name)
    if parts is None:
        raise MatFormatError(f"parameter {quote(name)} has no name that ends in _f or _b")
    numbers = _read_floats(value, name)
    layer, kind = parts.groups()
    if kind == "b":
        return f"{layer}.bias", torch.from_numpy(numbers.reshape(-1))
    if numbers.ndim > 4:
        raise MatFormatError(f"parameter {name} has {numbers.ndim} dimensions, not four")
    # MATLAB drops trailing dimensions of length one.
    full = numbers.reshape(numbers.shape + (1,) * (4 - numbers.ndim))
    return f"{layer}.weight", torch.from_numpy(full.transpose(3, 2, 0, 1).copy())


def _find_variable(data: bytes, name: str) -> MatMatrix:
    """Return the variable `name` of the MATLAB file `data`."""
    if data[HEADER - 4 : HEADER] != _LITTLE_ENDIAN_5:
        raise MatFormatError("it is no little-endian MATLAB file of version 5")
    for element in _read_elements(memoryview(data)[HEADER:]):
        inner = inflate(element.data) if element.type == COMPRESSED else element
        if inner.type == MATRIX and (found := _read_matrix(inner)).name == name:
            return found
    raise MatFormatError(f"it has no variable {name}")


def _read_elements(data: memoryview) -> Iterator[MatElement]:
    """Yield the elements that lie one after another in `data`."""
    place = 0
    while place < len(data):
        if len(data) < place + 8:
            raise MatFormatError("it is cut short")
        kind, size = unpack_from("<II", data, place)
        start = place + 8
        if kind >> 16:  # small: type and size share a word, the next one is the content
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if start + size > len(data) or (start == place + 4 and size > 4):
            raise MatFormatError("it is cut short")
        yield MatElement(kind, data[start : start + size])
        place = start + size if kind == COMPRESSED else start + size + (-(start + size) % 8)


def inflate(data: memoryview) -> MatElement:
    """Return the one element that is compressed in `data`."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise MatFormatError("its compressed data are damaged") from error
    if not stream.eof:
        raise MatFormatError(f"its compressed data are cut short or longer than {LARGEST} bytes")
    first = next(_read_elements(memoryview(plain)), None)
    if first is None:
        raise MatFormatError("its compressed data are empty")
    return first


def _read_matrix(element: MatElement) -> MatMatrix:
    """Return the matrix in `element`. Every class begins with flags, dimensions and name."""
    parts = list(_read_elements(element.data)) if element.type == MATRIX else []
    if len(parts) < 3 or len(parts[0].data) != 8:
        raise MatFormatError("a value in it is no matrix")
    kind, flags = parts[0].data[0], parts[0].data[1]
    shape = tuple(int(side) for side in _read_numbers(parts[1], "i"))
    if min(shape, default=-1) < 0:
        raise MatFormatError(f"a matrix in it has the shape {shape}")
    name = bytes(parts[2].data).decode("latin-1")
    return MatMatrix(kind, bool(flags & _COMPLEX), shape, name, parts[3:])


def _read_structs(value: MatMatrix, name: str, *fields: str) -> list[dict[str, MatMatrix]]:
    """Return the structs in `value`, known to have `fields`, with these alone."""
    found = _read_field_names(value)
    if not set(fields) <= set(found):
        raise MatFormatError(f"{name} is no struct with {' and '.join(fields)}")
    cells = value.parts[2:]
    if len(cells) != math.prod(value.shape) * len(found):
        raise MatFormatError(
            f"{name} has {len(cells)} values for {value.shape} × {len(found)} fields"
        )
    rows = (cells[start : start + len(found)] for start in range(0, len(cells), len(found)))
    return [{field: _read_matrix(row[found.index(field)]) for field in fields} for row in rows]


def _read_field_names(value: MatMatrix) -> list[str]:
    """Return the names of a struct's fields; none of what is no struct."""
    if value.kind != STRUCT or len(value.parts) < 2:
        return []
    length = _read_numbers(value.parts[0], "i")
    names = bytes(value.parts[1].data).decode("latin-1")
    if length.size != 1 or length[0] < 1:
        return []
    step = int(length[0])
    return [names[start : start + step].partition("\0")[0] for start in range(0, len(names), step)]


def read_text(value: MatMatrix) -> str:
    """Return the characters in `value`; none of what is no text."""
    if value.kind != TEXT or len(value.parts) != 1:
        return ""
    encoding = _ENCODINGS.get(value.parts[0].type, "latin-1")
    return bytes(value.parts[0].data).decode(encoding, errors="replace")


def _read_floats(value: MatMatrix, name: str) -> NDArray[np.float32]:
    """Return the finite floating-point numbers in `value`, in fp32."""
    if value.kind not in {DOUBLE, SINGLE} or value.complex or len(value.parts) != 1:
        raise MatFormatError(f"parameter {name} is no array of floating-point numbers")
    # MATLAB stores whole numbers in the smallest type that holds them.
    numbers = _read_numbers(value.parts[0], NUMBERS.get(value.parts[0].type, ""))
    if not numbers.size or numbers.size != math.prod(value.shape):
        raise MatFormatError(f"parameter {name} has {numbers.size} numbers for {value.shape}")
    if not (abs(numbers.astype(np.float64)) <= np.finfo(np.float32).max).all():
        raise MatFormatError(f"parameter {name} has numbers that are not finite in fp32")
    return numbers.astype(np.float32).reshape(value.shape, order="F")


def _read_numbers(element: MatElement, code: str) -> NDArray[np.generic]:
    """Return the numbers of type `code` in `element`."""
    if NUMBERS.get(element.type) != code or not code:
        raise MatFormatError(f"numbers in it are of type {element.type}")
    numbers = np.dtype(f"<{code}")
    if len(element.data) % numbers.itemsize:
        raise MatFormatError("it has parts of a number")
    return np.frombuffer(element.data, numbers)
