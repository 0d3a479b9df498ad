"""Row streaming gives what the whole image would, however its rows are cut."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from superres.geometry import Size
from superres.networks.dipnet import DIPNetNetwork
from superres.networks.lapsrn import LapSRNNetwork
from superres.networks.luma_chroma import LumaUpscaler
from superres.networks.realesrgan import build_rrdb, build_srvgg
from superres.networks.streaming.dipnet import make_dipnet_stages
from superres.networks.streaming.lapsrn import make_lapsrn_stages
from superres.networks.streaming.packed_conv import Packed
from superres.networks.streaming.rrdb import make_rrdb_stages
from superres.networks.streaming.srvgg import make_srvgg_stages
from superres.networks.streaming.stages import (
    Chain,
    Convolution,
    Delay,
    Residual,
    RowLimiter,
    Stage,
    StageMaker,
    to_channel_layout,
    to_row_layout,
)

NEAR = 2e-6  # of results around 1: what another order of additions changes


def picture(width: int, height: int, channels: int = 3) -> Tensor:
    torch.manual_seed(width * 1000 + height)
    made = torch.rand(1, channels, height, width)
    return made.contiguous(memory_format=torch.channels_last)


def size_of(x: Tensor) -> Size:
    return Size(x.shape[3], x.shape[2])


@torch.inference_mode()
def streamed(stage: Stage, x: Tensor, steps: list[int]) -> Tensor:
    """`x` pushed in steps of so many rows each, the last one repeated."""
    height, top, made = x.shape[2], 0, []
    for number in range(height):
        bottom = min(top + steps[min(number, len(steps) - 1)], height)
        made.append(stage.push(x[:, :, top:bottom], bottom == height))
        top = bottom
        if bottom == height:
            break
    return torch.cat(made, 2)


NETWORKS: dict[str, tuple[nn.Module, Callable[[Any], StageMaker], int]] = {
    "rrdb x4": (build_rrdb(4, 2), make_rrdb_stages, 1),
    "rrdb x2": (build_rrdb(2, 1), make_rrdb_stages, 2),
    "srvgg": (build_srvgg(3), make_srvgg_stages, 1),
    "lapsrn x2": (LumaUpscaler(LapSRNNetwork(2, 3)), make_lapsrn_stages, 1),
    "lapsrn x4": (LumaUpscaler(LapSRNNetwork(4, 2)), make_lapsrn_stages, 1),
    "lapsrn x4 retrained": (
        LumaUpscaler(LapSRNNetwork(4, 1, kernel=4, bias=False)),
        make_lapsrn_stages,
        1,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(1, 12),
    height=st.integers(1, 40),
    steps=st.lists(st.integers(1, 17), min_size=1, max_size=6),
)
def test_any_steps_give_the_whole_picture(
    name: str, width: int, height: int, steps: list[int]
) -> None:
    network, stages, multiple = NETWORKS[name]
    x = picture(width * multiple, height * multiple)
    with torch.inference_mode():
        whole = network(x)
    made = streamed(stages(network)(size_of(x)), x, [step * multiple for step in steps])
    assert made.shape == whole.shape
    assert (made - whole).abs().max() <= NEAR


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_streams_too(name: str) -> None:
    network, stages, multiple = NETWORKS[name]
    x = picture(8, 24)
    with torch.inference_mode():
        whole = network(x)
        network.to(torch.bfloat16)
        try:
            made = streamed(stages(network)(size_of(x)), x.bfloat16(), [4 * multiple]).float()
        finally:
            network.float()
    # bfloat16 has 8 bits of mantissa; what is measured is that nothing but rounding changed.
    assert (made - whole).abs().max() <= 0.05 * max(1.0, whole.abs().max().item())


@settings(max_examples=12, deadline=None)
@given(width=st.integers(15, 40), height=st.integers(15, 60), rows=st.integers(1, 23))
def test_passes_over_all_rows_give_the_whole_picture_of_dipnet(
    width: int, height: int, rows: int
) -> None:
    torch.manual_seed(0)
    network, x = DIPNetNetwork(), picture(width, height)
    stage = make_dipnet_stages(network)(size_of(x))
    passes = [streamed(stage, x, [rows]) for _ in range(network.block_count + 1)]
    assert [made.shape[2] for made in passes] == [0] * network.block_count + [4 * height]
    with torch.inference_mode():
        assert (passes[-1] - network(x)).abs().max() <= NEAR


def test_rows_come_out_as_early_as_a_layer_allows() -> None:
    stage = Chain([Convolution(Packed(nn.Conv2d(3, 3, 3, padding=1))) for _ in range(3)])
    counts = [stage.push(picture(5, 4), last).shape[2] for last in (False, False, True)]
    assert counts == [1, 4, 7]


def test_enlarging_on_the_way_in_repeats_every_pixel() -> None:
    layer = nn.Conv2d(3, 2, 3, padding=1)
    x = picture(6, 9)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.inference_mode():
        expected = layer(repeated)
    made = streamed(Convolution(Packed(layer), enlarge=2), x, [2])
    assert (made - expected).abs().max() <= NEAR


def test_a_delay_gives_back_what_it_took_in_its_order() -> None:
    delay, x = Delay(), picture(4, 10)
    for top in (0, 3, 4):
        delay.put(x[:, :, top : {0: 3, 3: 4, 4: 10}[top]])
    taken = [delay.take(count) for count in (1, 5, 4)]
    assert torch.equal(torch.cat(taken, 2), x)


def test_portions_change_nothing() -> None:
    layer = nn.Conv2d(3, 3, 3, padding=1)
    x = picture(4, 23)
    plain = streamed(Residual(Convolution(Packed(layer)), 0.5), x, [11])
    cut = streamed(RowLimiter(Residual(Convolution(Packed(layer)), 0.5), 2), x, [11])
    assert (plain - cut).abs().max() <= NEAR


def test_both_layouts_are_views_of_the_same_numbers() -> None:
    x = picture(4, 3)
    assert to_row_layout(x).is_contiguous()
    assert to_channel_layout(to_row_layout(x)).data_ptr() == x.data_ptr()
