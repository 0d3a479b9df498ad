"""The architectures that spandrel brings compute in our engine what they compute in spandrel."""

from pathlib import Path

import pytest
import torch

from superres.custom.detect import detect_network
from superres.custom.spandrel_models import TILED as OVERLAPS
from superres.errors import BadOption
from superres.geometry import Size
from superres.inference.device import Device
from superres.model_loader import NetworkModel
from superres.weights.store import Store
from tests.superres.custom.spandrel_networks import NETWORKS, TILED, WHOLE, make_image, make_state

QUICK = {"SPAN", "RealPLKSR", "SAFMN"}  # the rest takes a minute


def mark_slow(names: dict[str, object]) -> list[object]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def save(name: str, folder: Path) -> Path:
    torch.save({"params_ema": make_state(NETWORKS[name])}, folder / f"{name}.pth")
    return folder / f"{name}.pth"


def load(path: Path) -> NetworkModel:
    device = Device(torch.device("cpu"))
    return NetworkModel(detect_network(path), device, Store(path.parent, offline=True), path)


pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # spandrel's


@pytest.mark.parametrize("name", mark_slow(NETWORKS))
def test_an_image_of_an_odd_size_is_that_of_spandrel(name: str, tmp_path: Path) -> None:
    from spandrel import ModelLoader

    path = save(name, tmp_path)
    judge = ModelLoader().load_from_state_dict(torch.load(path, weights_only=True)["params_ema"])
    model = load(path)
    assert model.spec.half == judge.supports_half
    torch.manual_seed(0)
    image = torch.rand(1, 3, 29, 37)
    with torch.inference_mode():
        expected = judge(image)
        made = model.upscaler().network(image).clamp(0, 1)
    assert expected.std() > 0.01
    assert made.shape == expected.shape
    # SPAN folds its kernels at first use, ours another time: rounded twice.
    assert (made - expected).abs().max() < (1e-3 if name == "SPAN" else 1e-4)


@pytest.mark.parametrize("name", mark_slow(TILED))
def test_tiles_are_within_a_step_of_the_whole_image(name: str, tmp_path: Path) -> None:
    upscaler = load(save(name, tmp_path)).upscaler()
    overlap = OVERLAPS[name]
    pixels = make_image(41, 2 * overlap + 3 * 48)
    whole = upscaler.upscale(pixels, tile=10_000)
    tiled = upscaler.upscale(pixels, tile=2 * overlap + 48)
    assert upscaler.spec.overlap == overlap
    assert tiled.cost.tiles > 1
    assert whole.pixels.std() > 10
    # SwiftSRGAN ends in a tanh, which random weights drive to its ends.
    is_clipped = (whole.pixels == 0) | (whole.pixels == 255)
    assert name == "SwiftSRGAN" or is_clipped.mean() < 0.5
    assert abs(tiled.pixels.astype(int) - whole.pixels).max() <= 1


@pytest.mark.parametrize("name", mark_slow(WHOLE))
def test_what_sees_the_whole_image_is_not_cut(name: str, tmp_path: Path) -> None:
    upscaler = load(save(name, tmp_path)).upscaler()
    assert upscaler.spec.whole_only
    assert len(upscaler.plan(Size(3000, 2000)).tiles) == 1
    with pytest.raises(BadOption, match=f"{name} sees the whole image and is not cut"):
        upscaler.upscale(make_image(40, 60), tile=48)
