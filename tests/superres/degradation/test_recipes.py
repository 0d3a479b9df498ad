import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from evaluation.protocol import bicubic
from superres.degradation.recipes import RECIPES
from superres.degradation.steps import (
    AnyOrder,
    Blur,
    Compress,
    Context,
    FitTarget,
    Noise,
    OneOf,
    Resize,
)

TARGET = (40, 52)


@pytest.fixture(scope="module")
def photo() -> NDArray[np.float32]:
    """160 × 208 RGB in 0..1."""
    return astronaut()[:160, 150:358].astype(np.float32) / 255


def context(seed: int = 0) -> Context:
    return Context(TARGET, np.random.default_rng(seed))


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_image_of_the_size_asked_for(
    name: str, photo: NDArray[np.float32]
) -> None:
    first, second, other = (
        RECIPES[name].degrade(photo, TARGET, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert first.image.shape == (*TARGET, 3)
    assert first.image.dtype == np.float32
    assert (first.image == second.image).all()
    assert first.records == second.records
    assert name in ("bicubic", "none") or (first.image != other.image).any()


@pytest.mark.parametrize("name", RECIPES)
def test_results_are_whole_levels_and_look_like_the_image(
    name: str, photo: NDArray[np.float32]
) -> None:
    reduced = bicubic((photo * 255).astype(np.uint8), TARGET[1], TARGET[0])
    for seed in range(8):
        made = RECIPES[name].degrade(photo, TARGET, np.random.default_rng(seed)).image * 255
        assert abs(made - np.rint(made)).max() < 1e-3
        assert made.min() >= 0
        assert made.max() <= 255
        assert np.corrcoef(made.ravel(), reduced.ravel())[0, 1] > 0.8


def test_bicubic_is_the_literatures(photo: NDArray[np.float32]) -> None:
    pixels = np.rint(photo * 255).astype(np.uint8)
    made = RECIPES["bicubic"].degrade(
        pixels.astype(np.float32) / 255, TARGET, np.random.default_rng(0)
    )
    assert abs(made.image * 255 - bicubic(pixels, TARGET[1], TARGET[0])).max() < 0.01


def test_realesrgan_goes_through_two_orders(photo: NDArray[np.float32]) -> None:
    records = [
        RECIPES["realesrgan"].degrade(photo, TARGET, np.random.default_rng(seed)).records
        for seed in range(60)
    ]
    names = [[record["step"] for record in done] for done in records]
    assert all(done.count("resize") == 2 and done.count("noise") == 2 for done in names)
    assert all(done.count("jpeg") + done.count("webp") == 2 for done in names)
    assert {
        done.index("fit") < len(done) - 1 - done[::-1].index("jpeg")
        for done in names
        if "jpeg" in done
    } == {True, False}
    assert {"gaussian", "generalized", "plateau"} == {
        record["family"] for done in records for record in done if record["step"] == "blur"
    }


@pytest.mark.parametrize(("low", "high"), [(3.0, 3.0), (11.0, 11.0)])
def test_noise_has_the_recorded_strength(low: float, high: float) -> None:
    grey = np.full((200, 200, 3), 0.5, np.float32)
    made, (record,) = Noise(sigma=(low, high), grey=0.5).apply(grey, context())
    assert record["sigma"] == low
    assert 255 * (made - grey).std() == pytest.approx(low, rel=0.03)
    apart = np.ptp(made, axis=2).max()
    assert apart == 0 if record["grey"] else apart > 0


def test_poisson_noise_grows_with_the_light() -> None:
    step = Noise(sigma=(0, 0), poisson_share=1.0, poisson=(1.0, 1.0), grey=0.0)
    dark, bright = (
        step.apply(np.full((200, 200, 3), level, np.float32), context())[0].std()
        for level in (0.1, 0.4)
    )
    assert bright / dark == pytest.approx(2, rel=0.05)  # the square root of the light
    assert dark == pytest.approx((0.1 / 256) ** 0.5, rel=0.05)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_compression_keeps_colours_in_their_order(kind: str, photo: NDArray[np.float32]) -> None:
    made, (record,) = Compress(kind=kind, quality=(95, 95)).apply(photo, context())  # type: ignore[arg-type]
    assert record == {"step": kind, "quality": 95}
    stream = io.BytesIO()
    pixels = np.rint(photo * 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, kind, quality=95)
    judge = np.asarray(Image.open(stream).convert("RGB")).astype(float)
    assert abs(made * 255 - judge).mean() < 1.5


def test_a_probability_is_kept() -> None:
    step = Blur(probability=0.3, sigma=(1.0, 1.0))
    image = np.zeros((16, 16, 3), np.float32)
    shared = context()
    done = sum(bool(step.apply(image, shared)[1]) for _ in range(500))
    assert 110 < done < 190


def test_resizing_draws_within_its_range(photo: NDArray[np.float32]) -> None:
    step, shared = Resize(factors=(0.3, 1.2), up=0.4, keep=0.2, of_target=True), context()
    sizes = [step.apply(photo, shared)[0].shape[0] / TARGET[0] for _ in range(200)]
    assert 0.27 < min(sizes) < 0.4
    assert 1.1 < max(sizes) <= 1.21
    assert sum(size == 1 for size in sizes) > 20


def test_reducing_does_not_alias() -> None:
    stripes = np.tile(np.float32([[[0.0], [1.0]]]), (64, 64, 3))[:, :, :3]
    for name in ("bilinear", "bicubic", "area", "matlab"):
        made, _ = FitTarget(filters=(name,)).apply(
            stripes, Context((16, 32), np.random.default_rng(0))
        )
        assert abs(made[:, 2:-2] - 0.5).max() < 0.05, name


def test_one_of_and_any_order_do_what_they_say(photo: NDArray[np.float32]) -> None:
    steps = (Compress(quality=(50, 50)), Compress(kind="webp", quality=(50, 50)))
    shared = context()
    single = [OneOf(steps=steps).apply(photo, shared)[1] for _ in range(20)]
    assert {record["step"] for (record,) in single} == {"jpeg", "webp"}
    both = [AnyOrder(steps=steps).apply(photo, shared)[1] for _ in range(20)]
    assert {tuple(record["step"] for record in done) for done in both} == {
        ("jpeg", "webp"),
        ("webp", "jpeg"),
    }
