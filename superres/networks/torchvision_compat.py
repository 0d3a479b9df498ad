"""torchvision as basicsr, realesrgan, gfpgan and facexlib expect it: repair before they come.

Two things are amiss with today's torchvision, and both break `import basicsr`:

- There is one torchvision wheel, compiled against CUDA. Beside a CPU-only torch its extension
  cannot load, and `import torchvision` ends in `operator torchvision::nms does not exist`.
- `torchvision.transforms.functional_tensor` was removed in torchvision 0.17.
"""

import importlib
import sys
import warnings
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.library import Library

_MOVED = "torchvision.transforms.functional_tensor"
_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def repair_torchvision() -> None:
    """torchvision imports, with or without CUDA, and basicsr and its kin import after it.

    Where torchvision's compiled extension loads, only the removed module is put back. Calling it
    again changes nothing. Raises ModuleNotFoundError where torchvision is not installed.
    """
    if not _extension_loads():
        _declare_operators()
        _replace_suppression()
    _restore_moved_module()
    # basicsr 1.4.2 imports names that SciPy moved; nobody who serves images can act on that.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"basicsr\.")


@cache
def _extension_loads() -> bool:
    """Return whether torchvision's compiled extension works with the torch that is installed."""
    return any(loads(path) for path in _extension_files())


def _extension_files() -> list[Path]:
    """Return where torchvision's compiled extension may lie, found without importing
    torchvision.
    """
    spec = find_spec("torchvision")
    if spec is None:
        raise ModuleNotFoundError(
            "torchvision is not installed: pip install -r requirements.txt", name="torchvision"
        )
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    paths = [folder / f"_C{suffix}" for folder in folders for suffix in EXTENSION_SUFFIXES]
    return [path for path in paths if path.is_file()]


def loads(path: Path) -> bool:
    """Return whether torch can load the library at `path`; as torchvision itself does it on
    import.
    """
    try:
        torch.ops.load_library(str(path))
    except OSError:
        return False
    return True


@cache
def _declare_operators() -> Library:
    """Return the schemas that `import torchvision` refers to; they live as long as the returned
    object.
    """
    library = Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}{_SUPPRESSION}")
    return library


@cache
def _replace_suppression() -> None:
    """Replace `torchvision.ops.nms`, which facexlib's detector calls, where there is no
    extension.
    """
    vars(importlib.import_module("torchvision.ops"))["nms"] = suppress_overlaps


def suppress_overlaps(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of `boxes` that overlap no better one by more than `iou_threshold`, best
    first.

    `boxes` is `(n, 4)`: left, top, right, bottom; `scores` is `(n,)`. Overlap is intersection
    over union. The semantics are those of `torchvision.ops.nms`.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    waiting = scores.argsort(descending=True, stable=True)
    kept = []
    while waiting.numel():
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        corner = torch.maximum(boxes[best, :2], boxes[waiting, :2])
        opposite = torch.minimum(boxes[best, 2:], boxes[waiting, 2:])
        shared = (opposite - corner).clamp(min=0).prod(dim=1)
        waiting = waiting[shared <= iou_threshold * (area[best] + area[waiting] - shared)]
    return torch.stack(kept) if kept else waiting


def _restore_moved_module() -> None:
    """Put back the module that torchvision 0.17 removed, with the one function in use."""
    if _MOVED in sys.modules or find_spec(_MOVED):
        return
    functional = importlib.import_module("torchvision.transforms.functional")
    module = ModuleType(_MOVED, "Put back for basicsr by superres.networks.torchvision_compat.")
    vars(module)["rgb_to_grayscale"] = functional.rgb_to_grayscale
    sys.modules[_MOVED] = module
