"""Swin2SR has the published parameters, reads both file layouts, and computes the publisher's."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from math import log

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from superres.errors import WeightsMismatch
from superres.model_spec import StateDict
from superres.networks import swin2sr
from superres.networks.swin2sr import convert_release
from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()
pytest.importorskip("spandrel", reason="spandrel is a development dependency")
# spandrel's networks, like basicsr's, leave the indexing of meshgrid open.
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")


def shaken(network: nn.Module, std: float = 0.04) -> nn.Module:
    """`network` with random weights of a size that lets every part of it matter."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        one = parameter.dim() == 1 and name.endswith("weight")  # a norm
        nn.init.normal_(parameter, mean=float(one), std=std)
        if name.endswith("logit_scale"):
            nn.init.uniform_(parameter, 1, 1.2 * log(100))  # some beyond the clamp
    return network.eval()


def independent(scale: int, upsampler: str, patch: int, stages: int, channels: int) -> nn.Module:
    """spandrel's Swin2SR, which has its own code and the publisher's keys."""
    from spandrel.architectures.Swin2SR import Swin2SR

    network: nn.Module = Swin2SR(
        img_size=patch,
        window_size=8,
        depths=[6] * stages,
        embed_dim=channels,
        num_heads=[6] * stages,
        mlp_ratio=2,
        upscale=scale,
        upsampler=upsampler,
    )
    return network


@cache
def release() -> nn.Module:
    """The publisher's lightweight network with random weights."""
    return shaken(independent(2, "pixelshuffledirect", 64, 4, 60))


@pytest.fixture(scope="module")
def small() -> nn.Module:
    network = swin2sr.build_lightweight().eval()
    network.load_state_dict(convert_release(release().state_dict()), strict=True)
    return network


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (partial(swin2sr.build_classical, 2), 12_091_571),
        (partial(swin2sr.build_classical, 4), 12_239_283),
        (swin2sr.build_lightweight, 1_005_348),
        (swin2sr.build_compressed, 12_244_598),
        (swin2sr.build_real, 12_054_643),
    ],
)
def test_it_has_the_published_parameters(build: Callable[[], nn.Module], parameters: int) -> None:
    assert sum(p.numel() for p in build().parameters()) == parameters


@pytest.mark.parametrize(
    ("scale", "upsampler", "patch", "stages", "channels"),
    [
        (2, "pixelshuffle", 64, 1, 180),
        (4, "pixelshuffle", 64, 1, 180),
        (2, "pixelshuffledirect", 64, 4, 60),
        (4, "pixelshuffle_aux", 48, 1, 180),
        (4, "nearest+conv", 64, 1, 180),
    ],
)
def test_a_converted_release_computes_what_the_publisher_computes(
    scale: int, upsampler: str, patch: int, stages: int, channels: int
) -> None:
    publishers = shaken(independent(scale, upsampler, patch, stages, channels))
    ours = swin2sr.build_padded_swin2sr(
        scale, upsampler, patch=patch, stages=stages, channels=channels
    ).eval()
    ours.load_state_dict(convert_release(publishers.state_dict()), strict=True)
    picture = torch.rand(2, 3, 11, 17)
    whole = pad(picture, (0, 7, 0, 5), mode="reflect")
    with torch.inference_mode():
        output = ours(picture)
        expected = publishers(whole)[..., : output.shape[2], : output.shape[3]]
    torch.testing.assert_close(output, expected, atol=1e-4, rtol=0)


def test_the_mask_of_shifted_windows_is_added_once_as_the_publisher_does(small: nn.Module) -> None:
    publishers = deepcopy(release())
    publishers.load_state_dict(opposed(release().state_dict()))
    converted = convert_release(publishers.state_dict())
    ours, theirs = deepcopy(small), transformers_own()
    ours.load_state_dict(converted, strict=True)
    theirs.load_state_dict(converted, strict=True)
    # The sharp attention of these weights magnifies rounding: hence double precision.
    picture = torch.rand(1, 3, 16, 24, dtype=torch.float64)
    with torch.inference_mode():
        expected = publishers.double()(picture)
        torch.testing.assert_close(ours.double()(picture), expected, atol=1e-4, rtol=0)
        assert (theirs.double()(picture).reconstruction - expected).abs().max() > 0.01


def opposed(state: StateDict) -> StateDict:
    """`state` with keys that seek the opposite of the query, so that a masked token may win."""
    for key in [key for key in state if key.endswith("qkv.weight")]:
        query, _, value = state[key].chunk(3)
        state[key] = torch.cat((query, -query, value))
        state[key.replace("qkv.weight", "q_bias")] = torch.zeros(len(query))
        state[key.replace("qkv.weight", "logit_scale")] = torch.full((6, 1, 1), 4.5)
    return state


def transformers_own() -> nn.Module:
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

    config = Swin2SRConfig(
        embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upscale=2, upsampler="pixelshuffledirect"
    )
    return Swin2SRForImageSuperResolution(config).eval()


def test_transformers_keys_pass_unchanged(small: nn.Module) -> None:
    state = small.state_dict()
    converted = convert_release(dict(state))
    assert list(converted) == list(state)
    assert all(converted[key] is state[key] for key in state)


def test_its_keys_are_those_of_transformers(small: nn.Module) -> None:
    assert set(small.state_dict()) == set(transformers_own().state_dict())


@pytest.mark.parametrize("name", ["relative_coords_table", "relative_position_index"])
def test_tables_of_older_transformers_files_are_dropped(small: nn.Module, name: str) -> None:
    state = dict(small.state_dict())
    table = "swin2sr.encoder.stages.0.layers.0.attention.self." + name
    state[table] = torch.zeros(64, 64)
    assert table not in convert_release(state)


def test_a_file_of_another_window_is_refused() -> None:
    state = dict(release().state_dict())
    state["layers.0.residual_group.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49)
    with pytest.raises(WeightsMismatch, match=r"has shape \(49, 49\): expected \(64, 64\)"):
        convert_release(state)


def test_keys_that_nobody_knows_are_left_for_the_loader_to_refuse() -> None:
    state = release().state_dict() | {"conv_strange.weight": torch.zeros(1)}
    assert "conv_strange.weight" in convert_release(state)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (41, 37)])
def test_the_output_is_exactly_twice_any_input(small: nn.Module, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        output = small(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, 2 * size[0], 2 * size[1])
    assert output.isfinite().all()
