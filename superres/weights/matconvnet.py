"""Weights that were published for MATLAB: MatConvNet's DagNN struct in a `.mat` file.

Source: Vedaldi and Lenc, "MatConvNet: Convolutional Neural Networks for MATLAB", 2015, chapter 4.
scipy's compiled reader crashed or hung the process on 64 of 3,468 copies of a small file that each
had one byte changed: only files whose hash is the publisher's come here (store.py).
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from superres.model_spec import StateDict

__all__ = ["load_matconvnet"]

_PARAMETER = re.compile(r"([A-Za-z]\w*)_([fb])", re.ASCII)


def load_matconvnet(path: Path) -> StateDict:
    """Read the parameters of a network.

    Args:
        path: A file with a struct `net` whose `params` are named arrays; its hash was checked.

    Returns:
        fp32 tensors: `x_f` is `x.weight`, `x_b` is `x.bias`. Filters (h, w, in, out) become
        (out, in, h, w); those of transposed convolutions, (h, w, out, in) there, become
        (in, out, h, w): both as torch has them.

    Raises:
        ValueError: A parameter has another name, or the file no such struct.
    """
    params = loadmat(path, variable_names=["net"])["net"]["params"].item()
    return dict(_convert(param["name"].item(), param["value"]) for param in params.reshape(-1))


def _convert(name: str, value: NDArray[Any]) -> tuple[str, Tensor]:
    """Return one parameter as torch names and shapes it."""
    parts = _PARAMETER.fullmatch(name)
    if parts is None:
        raise ValueError(f"parameter {name} has no name that ends in _f or _b")
    layer, kind = parts.groups()
    numbers = np.asarray(value, np.float32)
    if kind == "b":
        return f"{layer}.bias", torch.from_numpy(numbers.reshape(-1).copy())
    # MATLAB drops trailing dimensions of length one.
    full = numbers.reshape(numbers.shape + (1,) * (4 - numbers.ndim))
    return f"{layer}.weight", torch.from_numpy(full.transpose(3, 2, 0, 1).copy())
