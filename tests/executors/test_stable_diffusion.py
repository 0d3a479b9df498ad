"""The Stable Diffusion Executor, with a tiny pipeline of the real classes."""

from pathlib import Path

import pytest
from docarray import Document

from executors.stable_diffusion import StableDiffusion
from tests.executors.conftest import Caller, opened, png
from tests.superres.diffusion.tiny_diffusion import publish, tiny_pipeline


@pytest.fixture(scope="module")
def diffusing(tmp_path_factory: pytest.TempPathFactory) -> Caller:
    folder = tmp_path_factory.mktemp("tiny")
    made = publish(tiny_pipeline(folder), folder / "published")
    return Caller(StableDiffusion(weights=str(made), device="cpu", steps=2))


def test_a_picture_comes_back_four_times_as_large_with_its_seed(diffusing: Caller) -> None:
    made = diffusing.one(Document(blob=png(size=(9, 7))), prompt="a cat")
    assert opened(made).size == (36, 28)
    assert made.tags["upscale"]["steps"] == 2
    assert made.tags["upscale"]["seed"] >= 0


def test_the_seed_of_an_answer_gives_the_same_picture(diffusing: Caller) -> None:
    first = diffusing.one(Document(blob=png(size=(9, 7))))
    seed = first.tags["upscale"]["seed"]
    assert diffusing.one(Document(blob=png(size=(9, 7))), seed=seed).blob == first.blob


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("noise_level", 351), ("seed", -1), ("prompt", 5)]
)
def test_a_wrong_option_is_refused(diffusing: Caller, name: str, value: object) -> None:
    told = diffusing.refusal(Document(blob=png()), **{name: value})
    assert told["option"] == name
    assert told["allowed"]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"unet.*safetensors"):
        StableDiffusion(cache_dir=str(tmp_path), offline=True)
