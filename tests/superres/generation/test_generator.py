"""A tiny pipeline of the real classes: seeds, sizes, masks, progress, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from superres.errors import BadOption, BadSetting, WeightsMissing
from superres.generation.generator import Generator
from superres.generation.options import PromptSampling
from superres.generation.refine import refine
from superres.geometry import Size
from superres.inference.device import Device
from superres.weights.store import Store
from tests.superres.generation.tiny_generator import write_pipeline

CAT = PromptSampling("cat", 3, steps=3)
PHOTO = np.random.default_rng(0).integers(0, 256, (37, 51, 3), np.uint8)
CPU = Device(torch.device("cpu"))


def quiet(done: int, total: int) -> None:
    """Hears nothing."""


def test_an_image_is_what_the_pipeline_itself_makes(
    generator: Generator, pipeline_folder: Path
) -> None:
    heard: list[tuple[int, int]] = []
    made = generator.imagine(CAT, Size(40, 24), lambda *step: heard.append(step))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    from diffusers import StableDiffusionPipeline  # after the generator has repaired torchvision

    own = StableDiffusionPipeline.from_pretrained(pipeline_folder)
    expected = own(
        "cat",
        width=40,
        height=24,
        num_inference_steps=3,
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
    ).images[0]
    assert abs(made.pixels - expected * 255).max() <= 0.51
    assert (generator.imagine(CAT, Size(40, 24), quiet).pixels == made.pixels).all()
    other = generator.imagine(CAT._replace(seed=4), Size(40, 24), quiet)
    assert (other.pixels != made.pixels).any()


def test_the_prompts_count(generator: Generator) -> None:
    made = {
        sampling: generator.imagine(sampling, Size(32, 32), quiet).pixels.tobytes()
        for sampling in (CAT, CAT._replace(prompt="dog"), CAT._replace(negative_prompt="dog"))
    }
    assert len(set(made.values())) == 3


def test_an_image_of_any_size_is_changed_as_far_as_asked(generator: Generator) -> None:
    near, far = (generator.restyle(PHOTO, CAT, change, quiet).pixels for change in (0.0, 1.0))
    assert near.shape == far.shape == PHOTO.shape
    assert (near != far).any()


def test_what_the_mask_leaves_stays_to_the_bit(generator: Generator) -> None:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[10:20, 8:30] = 255
    heard: list[tuple[int, int]] = []
    made = generator.inpaint(PHOTO, mask, CAT, lambda *step: heard.append(step)).pixels
    assert (made[mask == 0] == PHOTO[mask == 0]).all()
    assert (made[mask == 255] != PHOTO[mask == 255]).any()
    assert heard[-1] == (3, 3)


def test_an_error_of_the_progress_ends_the_work(generator: Generator) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("nobody waits")

    with pytest.raises(RuntimeError, match="nobody waits"):
        generator.imagine(CAT, Size(32, 32), stop)
    assert generator.imagine(CAT, Size(32, 32), quiet).pixels.shape == (32, 32, 3)


def test_refining_goes_over_every_tile(generator: Generator) -> None:
    heard: list[float] = []
    made = refine(PHOTO, generator, CAT, 0.5, lambda done, total: heard.append(done / total))
    assert made.shape == PHOTO.shape
    assert heard == sorted(heard)
    assert heard[-1] == 1
    again = refine(PHOTO, generator, CAT, 0.5, quiet)
    assert (made == again).all()


def test_what_cannot_be_done_is_refused_before(generator: Generator) -> None:
    with pytest.raises(BadOption, match="width 30: expected a multiple of"):
        generator.check(CAT, Size(30, 32))
    with pytest.raises(BadOption, match=r"prompt .*text of at most 75 tokens"):
        generator.check(CAT._replace(prompt="cat " * 76), Size(32, 32))
    generator.check(CAT._replace(prompt="cat " * 75), Size(32, 32))


def test_the_estimate_grows_with_the_image_and_holds(generator: Generator) -> None:
    small, large = (generator.estimate_bytes(Size(side, side)) for side in (64, 256))
    assert large == pytest.approx(16 * small, rel=0.01)


@pytest.mark.parametrize("reference", ["no/such", "owner/name@main", "none"])
def test_a_reference_that_may_change_is_refused(reference: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="40 digits of a commit"):
        Generator(reference, CPU, Store(tmp_path, True, ()))


def test_a_pinned_model_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="offline, and not in the cache"):
        Generator(f"owner/name@{'a' * 40}", CPU, Store(tmp_path, True, ()))


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises((WeightsMissing, BadSetting)):
        Generator(str(folder), CPU, Store(tmp_path, True, ()))


def test_code_in_the_folder_does_not_run(pipeline_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pipeline_folder, tmp_path / "code"))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["evil", "Evil"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises((WeightsMissing, BadSetting)):
        Generator(str(folder), CPU, Store(tmp_path, True, ()))
    assert not (tmp_path / "ran").exists()


def test_a_pipeline_of_another_kind_is_told(published: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="no pipeline that makes images of text"):
        Generator(str(published), CPU, Store(tmp_path, True, ()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSetting, match=r"model_index\.json"):
        Generator(str(tmp_path / "empty"), CPU, Store(tmp_path, True, ()))
