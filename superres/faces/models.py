"""The restorers to choose from, and the two networks that all of them need, as data.

CodeFormer is not among them: its licence excludes commercial use, and no package that is installed
here brings its network. Neither does one bring that of RestoreFormer++.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import nn

from superres.faces.networks import gfpgan, restoreformer
from superres.model_spec import Weights

_GFPGAN = "https://github.com/TencentARC/GFPGAN"
_FACEXLIB = "https://github.com/xinntao/facexlib"
# Neither publisher states a licence for the weights: these are the licences of code and sources.
_GFPGAN_LICENCE = "Apache-2.0 AND LicenseRef-NVIDIA-NC AND CC-BY-NC-SA-4.0"


class FaceModel(NamedTuple):
    """A restorer: its file, and its network, which takes and gives faces of RGB in -1..1."""

    weights: Weights
    build: Callable[[], nn.Module]


DEFAULT = "gfpgan.v1.4"
FACE_MODELS: Mapping[str, FaceModel] = MappingProxyType(
    {
        DEFAULT: FaceModel(
            Weights(
                "GFPGANv1.4.pth",
                _GFPGAN_LICENCE,
                _GFPGAN,
                f"{_GFPGAN}/releases/download/v1.3.0/GFPGANv1.4.pth",
                "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
                348632874,
            ),
            gfpgan,
        ),
        "gfpgan.v1.3": FaceModel(
            Weights(
                "GFPGANv1.3.pth",
                _GFPGAN_LICENCE,
                _GFPGAN,
                f"{_GFPGAN}/releases/download/v1.3.0/GFPGANv1.3.pth",
                "c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
                348632874,
            ),
            gfpgan,
        ),
        "restoreformer.v1": FaceModel(
            Weights(
                "RestoreFormer.pth",
                "Apache-2.0",
                "https://github.com/wzhouxiff/RestoreFormer",
                f"{_GFPGAN}/releases/download/v1.3.4/RestoreFormer.pth",
                sha256=None,  # not published: the operator brings the file, nothing downloads it
            ),
            restoreformer,
        ),
    }
)
DETECTION = Weights(
    "detection_Resnet50_Final.pth",
    "MIT",
    _FACEXLIB,
    f"{_FACEXLIB}/releases/download/v0.1.0/detection_Resnet50_Final.pth",
    "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    109497761,
    keys=(),
)
PARSING = Weights(
    "parsing_parsenet.pth",
    "MIT AND CC-BY-NC-SA-4.0",  # facexlib, and PSFRGAN, which the network comes from
    _FACEXLIB,
    f"{_FACEXLIB}/releases/download/v0.2.2/parsing_parsenet.pth",
    "3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
    85331193,
    keys=(),
)
FACE_WEIGHTS = (*(model.weights for model in FACE_MODELS.values()), DETECTION, PARSING)
