"""SwinIR has the parameters and keys of the published files, and computes the same."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from superres.geometry import Size, split_into_tiles
from superres.networks import swinir
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
    return network.eval()


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return shaken(swinir.build_lightweight(4))


@pytest.mark.parametrize(
    ("build", "parameters", "entries"),
    [
        (partial(swinir.build_classical, 2), 11_752_487, 494),
        (partial(swinir.build_classical, 3), 11_937_127, 494),
        (partial(swinir.build_classical, 4), 11_900_199, 496),
        (partial(swinir.build_classical, 8), 12_047_911, 498),
        (partial(swinir.build_lightweight, 2), 910_152, 330),
        (partial(swinir.build_lightweight, 3), 918_267, 330),
        (partial(swinir.build_lightweight, 4), 929_628, 330),
        (partial(swinir.build_real, 2), 11_678_631, 496),
        (partial(swinir.build_real, 4), 11_715_559, 498),
        (swinir.build_real_large, 28_013_059, 778),
    ],
)
def test_it_has_the_published_parameters(
    build: Callable[[], nn.Module], parameters: int, entries: int
) -> None:
    network = build()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


@pytest.mark.parametrize(
    ("scale", "patch", "upsampler", "layers", "channels", "heads", "connection"),
    [
        (2, 64, "pixelshuffledirect", 4, 60, 6, "1conv"),
        (3, 64, "pixelshuffledirect", 1, 60, 6, "1conv"),
        (3, 48, "pixelshuffle", 1, 180, 6, "1conv"),
        (8, 64, "pixelshuffle", 1, 180, 6, "1conv"),
        (2, 64, "nearest+conv", 2, 180, 6, "1conv"),
        (4, 64, "nearest+conv", 1, 180, 6, "1conv"),
        (4, 64, "nearest+conv", 1, 240, 8, "3conv"),
    ],
)
def test_it_computes_what_an_independent_implementation_computes(
    scale: int, patch: int, upsampler: str, layers: int, channels: int, heads: int, connection: str
) -> None:
    from spandrel.architectures.SwinIR import SwinIR  # its own code, the publisher's keys

    other = shaken(
        SwinIR(
            img_size=patch,
            window_size=8,
            depths=[6] * layers,
            embed_dim=channels,
            num_heads=[heads] * layers,
            mlp_ratio=2,
            upscale=scale,
            upsampler=upsampler,
            resi_connection=connection,
        )
    )
    network = swinir.build_padded_swinir(
        scale,
        layers=layers,
        channels=channels,
        heads=heads,
        upsampler=upsampler,
        resi_connection=connection,
    ).eval()
    network.load_state_dict(swinir.drop_tables(other.state_dict()), strict=True)
    picture = torch.rand(2, 3, 11, 17)
    with torch.inference_mode():
        torch.testing.assert_close(network(picture), other(picture), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (9, 16), (41, 37)])
def test_the_output_is_exactly_four_times_any_input(
    small: nn.Module, size: tuple[int, int]
) -> None:
    with torch.inference_mode():
        output = small(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, 4 * size[0], 4 * size[1])
    assert output.isfinite().all()


def test_a_picture_is_enlarged_as_part_of_its_reflected_continuation(small: nn.Module) -> None:
    picture = torch.rand(1, 3, 13, 18)
    with torch.inference_mode():
        continued = small(pad(picture, (0, 6, 0, 3), mode="reflect"))[..., :52, :72]
        torch.testing.assert_close(small(picture), continued, atol=1e-5, rtol=0)


def test_tiles_of_overlap_32_equal_the_whole_picture(small: nn.Module) -> None:
    picture = torch.rand(1, 3, 16, 104)
    with torch.inference_mode():
        whole = small(picture)
        joined = torch.zeros_like(whole)
        for tile in split_into_tiles(Size(104, 16), Size(72, 16), overlap=32, align=8):
            enlarged = small(picture[..., tile.outer.left : tile.outer.right])
            offset = 4 * tile.outer.left
            at = slice(4 * tile.core.left, 4 * tile.core.right)
            joined[..., at] = enlarged[..., at.start - offset : at.stop - offset]
    assert largest(joined - whole) <= 1 / 255


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def test_importing_the_swin_networks_does_not_import_their_packages() -> None:
    code = (
        "import sys; from superres.networks import swin2sr, swinir; "
        "sys.exit('basicsr' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
