from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from evaluation.protocol import Pixels, bicubic, crop_to_multiple, list_images, psnr, read_rgb
from superres.model_spec import StateDict
from superres.networks.lapsrn import LapSRNNetwork, MSLapSRNNetwork
from superres.networks.luma_chroma import LumaNetwork, LumaUpscaler, ReducedNetwork, wrap_keys

retrained = partial(LapSRNNetwork, 4, 10, kernel=4, bias=False)
OFFICIAL: list[tuple[str, Callable[[], LumaNetwork]]] = [
    ("LapSRN_x2", partial(LapSRNNetwork, 2, 10)),
    ("LapSRN_x4", partial(LapSRNNetwork, 4, 10)),
    ("LapSRN_x8", partial(LapSRNNetwork, 8, 5)),
    *(
        (f"MSLapSRN_D5R{r}", partial(MSLapSRNNetwork, s, 5, r))
        for r in (2, 5, 8)
        for s in (2, 4, 8)
    ),
]
# What a tile must see beyond its core for the same result: see the docstrings.
EXACT: list[tuple[Callable[[], LumaNetwork], int]] = [
    (partial(LapSRNNetwork, 2, 10), 12),
    (partial(LapSRNNetwork, 4, 10), 17),
    (partial(LapSRNNetwork, 8, 5), 11),
    (retrained, 17),
    (partial(MSLapSRNNetwork, 2, 5, 2), 12),
    (partial(MSLapSRNNetwork, 4, 5, 2), 17),
    (partial(MSLapSRNNetwork, 8, 5, 2), 20),
    (lambda: ReducedNetwork(LapSRNNetwork(4, 10), 3), 18),
]
small = st.sampled_from(
    [
        partial(LapSRNNetwork, 2, 2),
        partial(LapSRNNetwork, 4, 1),
        partial(LapSRNNetwork, 8, 1),
        partial(MSLapSRNNetwork, 4, 2),
    ]
)


def lively(build: Callable[[], LumaNetwork]) -> LumaNetwork:
    """The network with random weights that carry a signal through all layers, in doubles."""
    torch.manual_seed(0)
    network = build().double().eval()
    for layer in network.modules():
        if isinstance(getattr(layer, "weight", None), nn.Parameter):
            gain = layer.weight[0].numel() ** -0.5 * 1.4  # type: ignore[index, operator]
            nn.init.normal_(layer.weight, 0, gain)  # type: ignore[arg-type]
    return network


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (partial(LapSRNNetwork, 2, 10), 407_441),
        (partial(LapSRNNetwork, 4, 10), 814_242),
        (partial(LapSRNNetwork, 8, 5), 667_123),
        (retrained, 870_112),
        (partial(MSLapSRNNetwork, 2), 222_801),
        (partial(MSLapSRNNetwork, 8, 5, 8), 222_801),
    ],
)
def test_it_has_the_published_number_of_parameters(
    build: Callable[[], nn.Module], parameters: int
) -> None:
    assert sum(p.numel() for p in build().parameters()) == parameters


@settings(max_examples=20)
@given(build=small, height=st.integers(1, 11), width=st.integers(1, 11))
def test_any_size_is_enlarged_by_exactly_the_scale(
    build: Callable[[], LumaNetwork], height: int, width: int
) -> None:
    network = build()
    with torch.inference_mode():
        made = LumaUpscaler(network)(torch.rand(2, 3, height, width))
    assert made.shape == (2, 3, network.scale * height, network.scale * width)


def test_other_scales_are_not_built() -> None:
    with pytest.raises(AssertionError, match="scale 3"):
        LapSRNNetwork(3, 10)


def test_a_level_is_the_authors_chain() -> None:
    torch.manual_seed(1)
    network = LapSRNNetwork(2, 1)
    w = network.state_dict()
    x = torch.rand(1, 1, 5, 7)
    y = leaky_relu(conv2d(x, w["input_conv.weight"], w["input_conv.bias"], padding=1), 0.2)
    y = leaky_relu(conv2d(y, w["level1_conv1.weight"], w["level1_conv1.bias"], padding=1), 0.2)
    y = conv_transpose2d(y, w["level1_upconv.weight"], w["level1_upconv.bias"], stride=2)
    y = leaky_relu(y[:, :, :-1, :-1], 0.2)  # MatConvNet's crop [0 1 0 1]
    y = conv2d(y, w["level1_residual_conv.weight"], w["level1_residual_conv.bias"], padding=1)
    y = y + conv_transpose2d(x, w["level1_img_up.weight"], stride=2, padding=1)
    torch.testing.assert_close(network(x), y)


def test_recursions_start_from_the_shared_source() -> None:
    torch.manual_seed(1)
    network = MSLapSRNNetwork(2, 1, 2)
    w = network.state_dict()
    first = torch.randn(1, 64, 4, 3)
    y = first
    for _ in range(2):
        y = conv2d(leaky_relu(y, 0.2), w["conv1.weight"], w["conv1.bias"], padding=1) + first
    before = first.clone()
    torch.testing.assert_close(network.deepened(first), y)
    assert torch.equal(first, before)


def test_training_reaches_every_parameter() -> None:
    for network in (
        LapSRNNetwork(4, 2),
        MSLapSRNNetwork(4, 2),
        LapSRNNetwork(4, 2, kernel=4, bias=False),
    ):
        network(torch.rand(1, 1, 6, 5)).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "overlap"), EXACT, ids=lambda value: str(value).partition(" at 0x")[0][:70]
)
def test_a_tile_with_the_stated_overlap_equals_the_whole(
    build: Callable[[], LumaNetwork], overlap: int
) -> None:
    network, core = lively(build), 3
    scale, reach = network.scale, overlap + 4
    x = torch.rand(1, 1, 5, 2 * reach + core, dtype=torch.float64)

    def made(margin: int) -> torch.Tensor:
        tile = x[..., reach - margin : reach + core + margin]
        with torch.inference_mode():
            return network(tile)[..., margin * scale : (margin + core) * scale]

    whole = made(reach)
    assert (made(overlap) - whole).abs().max() <= 1e-13 * whole.abs().max()
    assert (made(overlap - 1) - whole).abs().max() > 0


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (57, 20)], ids=str)
def test_tiles_of_an_odd_size_make_the_whole_picture(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network, overlap, edge = LumaUpscaler(LapSRNNetwork(4, 3)).double().eval(), 8, 13
    height, width = size
    x = torch.rand(1, 3, height, width, dtype=torch.float64)
    stitched = torch.zeros(1, 3, 4 * height, 4 * width, dtype=torch.float64)
    with torch.inference_mode():
        for top in range(0, height, edge):
            for left in range(0, width, edge):
                above, before = min(top, overlap), min(left, overlap)
                rows = slice(top - above, top + edge + overlap)
                columns = slice(left - before, left + edge + overlap)
                made = network(x[..., rows, columns])[..., 4 * above :, 4 * before :]
                target = stitched[..., 4 * top : 4 * (top + edge), 4 * left : 4 * (left + edge)]
                target.copy_(made[..., : target.shape[2], : target.shape[3]])
        torch.testing.assert_close(stitched, network(x), rtol=0, atol=1e-12)


def upscaler(
    folder: Path, file: str, network: LumaNetwork, convert: Callable[[StateDict], StateDict] = dict
) -> LumaUpscaler:
    """`network` in colour with the weights in `file`, all of them used."""
    state = convert(load_file(folder / "weights" / f"{file}.safetensors"))
    made = LumaUpscaler(network)
    made.load_state_dict(
        wrap_keys(state, 2 if isinstance(network, ReducedNetwork) else 1), strict=True
    )
    return made.eval().to(memory_format=torch.channels_last)


def enlarged(network: nn.Module, pixels: Pixels) -> Pixels:
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        y = network(x.contiguous(memory_format=torch.channels_last))
    return np.asarray((y[0].permute(1, 2, 0) * 255).round().byte())


def quality(network: LumaUpscaler, scale: int, path: Path) -> tuple[float, float]:
    """The PSNR for one image of the network and of bicubic interpolation."""
    hr = crop_to_multiple(read_rgb(path), scale)
    lr = bicubic(hr, hr.shape[1] // scale, hr.shape[0] // scale)
    plain = bicubic(lr, hr.shape[1], hr.shape[0])
    return psnr(enlarged(network, lr), hr, scale), psnr(plain, hr, scale)


def set5(network: LumaUpscaler, scale: int, folder: Path) -> float:
    """Mean PSNR over Set5."""
    values = [quality(network, scale, path)[0] for path in list_images(folder / "eval" / "Set5")]
    return float(np.mean(values))


@pytest.mark.weights
@pytest.mark.parametrize(("file", "build"), OFFICIAL)
def test_official_weights_fit_every_key(
    shared_data: Path, file: str, build: Callable[[], LumaNetwork]
) -> None:
    upscaler(shared_data, file, build())


@pytest.mark.weights
@pytest.mark.parametrize(
    ("file", "build", "expected"),
    [
        ("LapSRN_x2", partial(LapSRNNetwork, 2, 10), 37.49),
        ("LapSRN_x4", partial(LapSRNNetwork, 4, 10), 31.53),
        ("LapSRN_x8", partial(LapSRNNetwork, 8, 5), 26.14),
        ("MSLapSRN_D5R2", partial(MSLapSRNNetwork, 4, 5, 2), 31.61),
        pytest.param(
            "MSLapSRN_D5R8", partial(MSLapSRNNetwork, 4, 5, 8), 31.72, marks=pytest.mark.slow
        ),
    ],
)
def test_official_weights_reach_their_psnr(
    shared_data: Path, file: str, build: Callable[[], LumaNetwork], expected: float
) -> None:
    network = build()
    result = set5(upscaler(shared_data, file, network), network.scale, shared_data)
    assert result == pytest.approx(expected, abs=0.02)


def convert_retrained(state: StateDict) -> StateDict:
    """Return the state of `LapSRN(4, 10, kernel=4, bias=False)` from the keys of twtygqyy's
    retraining.

    There `convt_F{n}` is the trunk of the n-th level from the smallest, its even entries 0..18 the
    layers and 20 the doubling.
    """
    return {convert_key(key): tensor for key, tensor in state.items()}


def convert_key(key: str) -> str:
    """Return one key of the retraining as LapSRN names it."""
    if key == "conv_input.weight":
        return "input_conv.weight"
    branch, *trunk = key.removeprefix("convt_").removesuffix(".weight").split(".")
    kind, level = branch[0], 3 - int(branch[1:])
    if kind == "F":
        entry = int(trunk[-1])
        layer = "upconv" if entry == 20 else f"conv{entry // 2 + 1}"
    else:
        layer = {"I": "img_up", "R": "residual_conv"}[kind]
    return f"level{level}_{layer}.weight"


@pytest.mark.weights
def test_the_retrained_weights_reach_their_psnr(shared_data: Path) -> None:
    network = upscaler(shared_data, "LapSRN_x4_twtygqyy", retrained(), convert_retrained)
    assert set5(network, 4, shared_data) == pytest.approx(31.63, abs=0.02)


@pytest.mark.weights
def test_three_times_from_four_is_three_decibels_above_bicubic(shared_data: Path) -> None:
    network = upscaler(shared_data, "LapSRN_x4", ReducedNetwork(LapSRNNetwork(4, 10), 3))
    made, plain = quality(network, 3, shared_data / "eval" / "Set5" / "bird.png")
    assert made > plain + 3


@pytest.mark.weights
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255)], ids=str)
def test_a_pure_colour_keeps_its_hue(shared_data: Path, colour: tuple[int, int, int]) -> None:
    network = upscaler(shared_data, "LapSRN_x2", LapSRNNetwork(2, 10))
    patch = np.full((24, 24, 3), colour, np.uint8)
    middle = enlarged(network, patch)[16:32, 16:32].astype(int)
    assert abs(middle - patch[0, 0]).max() <= 4
