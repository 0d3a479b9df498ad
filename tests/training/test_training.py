"""The whole of a run: patches, steps, checkpoint, log and export."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage.data import astronaut, coffee

from superres.networks.bicubic_pp import BicubicPPNetwork
from superres.networks.realesrgan import build_srvgg
from training.__main__ import main
from training.images import ImageSet, draw_flat
from training.losses import compute_loss
from training.patches import PatchPool
from training.recipe import LossSettings, RunSettings, TeacherSettings, read_recipe
from training.teacher import Teacher
from training.trainer import compute_rate

HEAD = """
[student]
network = "{network}"
scale = {scale}
convolutions = 2
[data]
patch = 24
pool = 32
fresh = 2
[[data.shares]]
weight = 0.8
degradation = "photo"
reduction = [0.5, 1.0]
grey = 0.3
hr_weight = {hr_weight}
[[data.shares]]
weight = 0.2
degradation = "bicubic"
source = "flats"
hr_weight = 1.0
[training]
steps = {steps}
batch = 4
warm_up = 5
decay = 0.9
check_every = 20
precision = "{precision}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small photos."""
    made = tmp_path_factory.mktemp("photos")
    Image.fromarray(astronaut()).resize((200, 180)).save(made / "astronaut.png")
    Image.fromarray(coffee()).resize((220, 150)).save(made / "coffee.png")
    return made


def write_recipe(folder: Path, **values: object) -> Path:
    settings = {"network": "bicubic_pp", "scale": 2, "hr_weight": 1.0, "steps": 60}
    path = folder / "recipe.toml"
    path.write_text(HEAD.format(**{**settings, "precision": "fp32", **values}))
    return path


def run(recipe: Path, folder: Path, output: Path, *more: str) -> None:
    main(
        [
            str(recipe),
            "--images",
            str(folder),
            "--check",
            str(folder),
            "--output",
            str(output),
            "--device",
            "cpu",
            *more,
        ]
    )


def read_log(output: Path) -> list[dict[str, str]]:
    with output.with_suffix(".csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_ends_goes_on_and_exports_the_products_network(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made.safetensors"
    recipe = write_recipe(tmp_path)
    run(recipe, folder, output)
    log = read_log(output)
    assert [row["step"] for row in log] == ["20", "40", "60"]
    assert float(log[-1]["levels"]) < float(log[0]["levels"]) * 1.05
    BicubicPPNetwork(2).load_state_dict(load_file(output))
    run(recipe, folder, output)
    assert "going on at step 60" in capsys.readouterr().out
    write_recipe(tmp_path, steps=70)
    with pytest.raises(ValueError, match="of another recipe"):
        run(recipe, folder, output)


def test_two_runs_with_one_seed_give_the_same_weights(folder: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, steps=12)
    outputs = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for output in outputs:
        run(recipe, folder, output)
    first, second = (load_file(output) for output in outputs)
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_student_comes_nearer_to_its_teacher(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    teacher = build_srvgg(32)
    weights = tmp_path / "teacher.safetensors"
    save_file(teacher.state_dict(), weights)
    text = write_recipe(
        tmp_path, network="compact", scale=4, hr_weight=0.0, steps=40, precision="bf16"
    ).read_text()
    recipe = tmp_path / "distil.toml"
    recipe.write_text(text + '[teacher]\nmodel = "realesrgan.general-x4"\n')
    output = tmp_path / "student.safetensors"
    run(recipe, folder, output, "--teacher", str(weights))
    start = re.search(r"held out: ([\d.]+) levels", capsys.readouterr().out)
    assert start
    assert float(read_log(output)[-1]["levels"]) < 0.6 * float(start[1])
    build_srvgg(2).load_state_dict(load_file(output))


def test_a_smaller_scale_learns_the_reduced_output(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "teacher.safetensors"
    save_file(build_srvgg(32).state_dict(), weights)
    teacher = Teacher(
        TeacherSettings(model="realesrgan.general-x4", keep_mean=False),
        [weights],
        torch.device("cpu"),
    )
    lr = 0.3 + 0.4 * torch.rand(2, 3, 12, 10)
    large, small = teacher.enlarge(lr, 4), teacher.enlarge(lr, 2)
    assert small.shape == (2, 3, 24, 20)
    averaged = torch.nn.functional.avg_pool2d(large, 2)
    assert torch.corrcoef(torch.stack([averaged.flatten(), small.flatten()]))[0, 1] > 0.99


def test_grey_patches_have_grey_targets(folder: Path, tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path))
    pool = PatchPool(ImageSet([folder]), None, recipe.data, 2, seed=3)
    pool.fill()
    lr, target = pool.draw_batch(32)
    grey = np.ptp(lr.numpy(), axis=1).max(axis=(1, 2)) == 0
    assert 3 < grey.sum() < 20
    assert np.ptp(target.numpy()[grey], axis=1).max() == 0
    reduced = torch.nn.functional.avg_pool2d(target, 2)
    assert (reduced - lr).abs().mean() < 0.06


def test_a_patch_larger_than_its_image_is_enlarged(folder: Path) -> None:
    draw = np.random.default_rng(0)
    assert ImageSet([folder]).draw_patch(400, 1.0, draw).shape == (400, 400, 3)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.png"):
        ImageSet([tmp_path])


def test_flat_patches_are_flat_or_change_slowly() -> None:
    draw = np.random.default_rng(0)
    made = [draw_flat(48, draw) for _ in range(20)]
    assert max(abs(np.diff(patch, axis=axis)).max() for patch in made for axis in (0, 1)) < 0.01
    assert 4 < sum(np.ptp(patch, axis=(0, 1)).max() == 0 for patch in made) < 16


def test_losses_are_what_their_names_say() -> None:
    torch.manual_seed(0)
    made, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    difference = made - target
    l1 = compute_loss(made, target, LossSettings(), 0.0)
    assert l1 == pytest.approx(difference.abs().mean().item())
    near = compute_loss(made, target, LossSettings(l1=0, charbonnier=1.0), 0.0)
    assert near == pytest.approx(difference.abs().mean().item(), abs=1e-3)
    constant = compute_loss(made + 1, made, LossSettings(l1=0, frequency=1.0), 0.0)
    assert constant == pytest.approx(8 / (8 * 5 * 2))  # one coefficient of 8·5, real and imaginary
    late = compute_loss(made, target, LossSettings(l2_from=0.8), 0.8)
    assert late == pytest.approx((difference**2).mean().item())


def test_the_rate_warms_up_and_falls() -> None:
    settings = RunSettings(steps=1000, rate=2e-3, warm_up=200)
    shares = [compute_rate(step, settings) for step in (0, 199, 600, 999)]
    assert shares[0] < 0.01
    assert shares[1] > shares[2] > shares[3] > 0
