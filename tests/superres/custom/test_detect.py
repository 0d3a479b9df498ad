"""Community files load as the networks they are; the judge is spandrel with the same tensors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from superres.catalogue import CATALOGUE
from superres.custom.detect import detect_network
from superres.errors import WeightsCorrupt, WeightsMismatch
from superres.geometry import Size
from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.model_loader import NetworkModel
from superres.weights.store import Store, read_state_dict
from tests.superres.custom.layouts import Layout, cast, first_layout, list_layouts, rrdb

LAYOUTS = list(list_layouts())
CPU = Device(torch.device("cpu"))


def save(layout: Layout, folder: Path) -> Path:
    path = folder / f"somebody's {layout.name.replace(' ', '-')}{layout.suffix}"
    content = layout.make()
    if layout.suffix == ".safetensors":
        assert isinstance(content, dict)
        save_file({key: value.contiguous() for key, value in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def load(path: Path) -> NetworkModel:
    return NetworkModel(detect_network(path), CPU, Store(path.parent, offline=True), path)


def judge(layout: Layout, path: Path, image: Tensor) -> Tensor:
    """What spandrel makes of the tensors in the file; basicsr, for a width that it cannot."""
    state = cast(layout.complete() if layout.complete else read_state_dict(path), torch.float32)
    with torch.inference_mode():
        if "growth 16" in layout.name:
            from basicsr.archs.rrdbnet_arch import RRDBNet

            network = RRDBNet(3, 3, num_feat=32, num_block=2, num_grow_ch=16)
            network.load_state_dict(state)
            return network(image).clamp(0, 1)  # type: ignore[no-any-return]
        from spandrel import ModelLoader

        return ModelLoader().load_from_state_dict(state)(image)  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # spandrel's
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_computes_what_its_authors_network_computes(
    layout: Layout, tmp_path: Path
) -> None:
    path = save(layout, tmp_path)
    if not layout.is_wanted:
        with pytest.raises(WeightsMismatch, match="without PReLU: its activation cannot be told"):
            detect_network(path)
        return
    model = load(path)
    torch.manual_seed(0)
    image = torch.rand(1, 3, layout.side, layout.side + 8)
    if "1 channel" in layout.name:
        grey = image[:, :1]
        expected, image = judge(layout, path, grey), grey.expand(-1, 3, -1, -1).contiguous()
    else:
        expected = judge(layout, path, image)
    with torch.inference_mode():
        made = model.upscaler().network(image).float().clamp(0, 1)
    assert made.shape[2] == model.spec.scale * layout.side
    assert (made - expected).abs().max() < 1e-4


STREAMED = [
    "RRDB bare",
    "first layout x1",
    "first layout x2",
    "first layout x8",
    "compact x8",
    "RRDB x2 unshuffled",
    "RRDB x1 unshuffled",
    "RRDB 32 features, growth 16",
    "compact 24 features",
    "compact x1",
]


@pytest.mark.parametrize("name", STREAMED)
def test_a_streamed_image_and_tiles_are_the_whole_one(name: str, tmp_path: Path) -> None:
    (layout,) = [layout for layout in LAYOUTS if layout.name == name]
    model = load(save(layout, tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (45, 31, 3), dtype=np.uint8)
    assert model.spec.stream is not None
    by_rows = replace(model.spec, stream=replace(model.spec.stream, min_pixels=0, step_pixels=124))
    upscaler = NetworkUpscaler(by_rows, model.upscaler().network, CPU)
    whole = upscaler.upscale(pixels, tile=10_000)
    streamed = upscaler.upscale(pixels)
    assert streamed.cost.tiles == 1
    assert upscaler.plan(Size(31, 45)).rows > 0
    assert abs(streamed.pixels.astype(int) - whole.pixels).max() <= 1


def test_a_name_is_made_of_the_files(tmp_path: Path) -> None:
    torch.save(rrdb(), tmp_path / "4x Ultra (Sharp)!.pth")
    assert detect_network(tmp_path / "4x Ultra (Sharp)!.pth").name == "4x-Ultra-Sharp"
    assert detect_network(tmp_path / "4x Ultra (Sharp)!.pth", "mine").name == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.weight": torch.zeros(3)}, "of no network that is known here; its first tensors are"),
        ({"state_dict": {"x": 3}}, "is a int, expected a dense Tensor"),
        ([1, 2], "holds no tensors by name"),
    ],
)
def test_another_file_is_refused_with_what_it_holds(
    content: object, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises((WeightsMismatch, WeightsCorrupt), match=message):
        detect_network(tmp_path / "other.pth")


def test_a_network_of_giant_sizes_is_refused_before_it_is_built(tmp_path: Path) -> None:
    state = first_layout(rrdb())
    state |= {f"model.1.sub.{10**6}.RDB1.conv1.0.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "giant.pth")
    with pytest.raises(WeightsMismatch, match="1000001 blocks of 64 features: at most 100 blocks"):
        detect_network(tmp_path / "giant.pth")


def test_a_swinir_file_of_another_row_is_told_which_row_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(CATALOGUE["swinir.lightweight-x3"].build().state_dict(), path)
    with pytest.raises(WeightsMismatch, match=r"that is the network of swinir\.lightweight-x3;"):
        NetworkModel(CATALOGUE["swinir.lightweight-x2"], CPU, Store(tmp_path, offline=True), path)
