"""The networks of face enhancement, from gfpgan and facexlib.

GFPGAN and RestoreFormer restore faces, RetinaFace finds them, ParseNet tells their parts apart.

Sources: Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior", CVPR
2021; Wang et al., "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value
Pairs", CVPR 2022; Deng et al., "RetinaFace", CVPR 2020; Chen et al., "Progressive Semantic-Aware
Style Transformation for Blind Face Restoration", CVPR 2021 (ParseNet). Importing this module is
cheap; the packages are imported when a network is built. Their own loaders, which download in
silence, are never called.
"""

import warnings
from contextlib import redirect_stdout
from io import StringIO

import torch
from torch import nn

from superres.networks.torchvision_compat import repair_torchvision

FACE = 512  # the side of the aligned face that restorers and ParseNet work on
CLASSES = 19  # the parts of an image that ParseNet tells apart


def gfpgan() -> nn.Module:
    """GFPGANv1Clean: an aligned face (n, 3, 512, 512), RGB in -1..1, to (the same restored, []).

    Called with `return_rgb=False`, and with `randomize_noise=False` for equal answers to equal
    questions. Its forward accepts a `weight` and ignores it.
    """
    repair_torchvision()
    from gfpgan.archs.gfpganv1_clean_arch import GFPGANv1Clean

    network: nn.Module = GFPGANv1Clean(
        out_size=FACE,
        num_style_feat=512,
        channel_multiplier=2,
        decoder_load_path=None,
        fix_decoder=False,
        num_mlp=8,
        input_is_latent=True,
        different_w=True,
        narrow=1,
        sft_half=True,
    )
    return network


def restoreformer() -> nn.Module:
    """RestoreFormer: an aligned face (n, 3, 512, 512), RGB in -1..1, to (the same restored, None).

    gfpgan brings it, with the sizes of the published weights as its defaults.
    """
    repair_torchvision()
    from gfpgan.archs.restoreformer_arch import RestoreFormer

    with redirect_stdout(StringIO()):  # it prints its sizes, where the command line puts images
        network: nn.Module = RestoreFormer()
    return network


def retinaface(device: torch.device) -> nn.Module:
    """RetinaFace on ResNet-50, already on `device`, where it also makes tensors of its own.

    Its `detect_faces` takes a BGR image (h, w, 3) of 0..255, subtracts the mean (104, 117, 123)
    and gives rows of 15: box, score, and x, y of eyes, nose and corners of the mouth. It keeps
    working data in itself: one call at a time.
    """
    repair_torchvision()
    from facexlib.detection.retinaface import RetinaFace

    with warnings.catch_warnings():
        # facexlib asks torchvision for an untrained backbone by the old name of that argument.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models")
        network: nn.Module = RetinaFace("resnet50", half=False, device=device)
    return network


def parsenet() -> nn.Module:
    """ParseNet: a face (n, 3, 512, 512), RGB in -1..1, to (scores (n, 19, 512, 512), an image)."""
    repair_torchvision()
    from facexlib.parsing.parsenet import ParseNet

    network: nn.Module = ParseNet(in_size=FACE, out_size=FACE, parsing_ch=CLASSES)
    return network
