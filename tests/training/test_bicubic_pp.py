import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage.data import astronaut

from evaluation.protocol import bicubic
from superres.networks.bicubic_pp import BicubicPPNetwork
from training.bicubic_pp import RIM, arguments, rate_at, train
from training.data import as_tensor, batches, pairs
from training.flat import COPIES, FlatExact


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small photo."""
    made = tmp_path_factory.mktemp("photos")
    Image.fromarray(astronaut()).resize((160, 120)).save(made / "photo.png")
    return made


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_training_starts_at_bicubic(scale: int) -> None:
    network, start = BicubicPPNetwork(scale), FlatExact(scale)
    with torch.no_grad():  # what is random at the start, so that bicubic alone is left
        start.free["conv_out"][:, COPIES:] = 0
        start.free["conv2"].zero_()
    network.load_state_dict(start.weights())
    pixels = np.random.default_rng(0).integers(60, 196, (20, 24, 3), dtype=np.uint8)
    with torch.inference_mode():
        made = network(as_tensor(pixels[None]))[0].permute(1, 2, 0).mul(255).round().numpy()
    inside = slice(RIM * scale, -RIM * scale)
    wanted = bicubic(pixels, 24 * scale, 20 * scale).astype(float)
    assert abs(made - wanted)[inside, inside].max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_parameters_keep_flat_colours(scale: int) -> None:
    torch.manual_seed(scale)
    free = FlatExact(scale)
    with torch.no_grad():
        for parameter in free.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network = BicubicPPNetwork(scale)
    network.load_state_dict(free.weights())
    colours = torch.rand(20, 3, 1, 1).expand(-1, -1, 40, 40)
    with torch.inference_mode():
        made = network(colours)[..., RIM * scale : -RIM * scale, RIM * scale : -RIM * scale]
    assert (made - colours[..., :1, :1]).abs().max() < 1e-4


def test_the_free_parameters_and_the_exported_network_compute_the_same() -> None:
    torch.manual_seed(0)
    free, network = FlatExact(3), BicubicPPNetwork(3)
    network.load_state_dict(free.weights())
    x = torch.rand(1, 3, 20, 18)
    with torch.inference_mode():
        assert torch.allclose(free(x), network(x), atol=1e-6)


def test_pairs_and_patches_belong_together(folder: Path) -> None:
    made = pairs([folder], 3, (1.0, 0.5), 16)
    assert [pair.lr.shape for pair in made] == [(40, 53, 3), (20, 26, 3)]
    lr, hr = next(batches(made, 3, 16, 4, seed=1))
    assert lr.shape == (4, 3, 16, 16)
    assert hr.shape == (4, 3, 48, 48)
    reduced = torch.nn.functional.interpolate(hr, (16, 16), mode="area")
    assert (reduced - lr).abs().mean() < 0.05
    again, _ = next(batches(made, 3, 16, 4, seed=1))
    assert torch.equal(lr, again)


def options(
    folder: Path, output: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> argparse.Namespace:
    text = f"x --scale 2 --data {folder} --check {folder} --output {output} --steps {steps}"
    monkeypatch.setattr("sys.argv", f"{text} --batch 2 --patch 32".split())
    return arguments()


def test_a_run_writes_a_network_and_can_go_on(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    output = tmp_path / "made.safetensors"
    for steps in (60, 90):
        chosen = options(folder, output, steps, monkeypatch)
        made = pairs(chosen.data, 2, (1.0,), chosen.patch)
        train(FlatExact(2), batches(made, 2, chosen.patch, chosen.batch, 1), chosen)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("step 60 ")
    assert second.startswith("step 90 ")
    BicubicPPNetwork(2).load_state_dict(load_file(output))


def test_the_rate_warms_up_and_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = argparse.Namespace(rate=2e-3, steps=1000)
    shares = [rate_at(step, chosen) for step in (0, 200, 600, 999)]
    assert shares[0] < 0.01
    assert shares[1] > shares[2] > shares[3]
