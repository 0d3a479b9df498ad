"""Measures of images, beside those of scikit-image, and where they know nothing."""

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evaluation.damages import DAMAGES
from evaluation.generated_images import draw_shapes, draw_text
from evaluation.metrics import METRICS, Measures, compute_niqe, list_metrics
from evaluation.protocol import Pixels, bicubic, luma

BASE = [name for name, metric in METRICS.items() if metric.compute is not None]


@pytest.fixture(scope="module")
def photo() -> Pixels:
    pixels: Pixels = data.astronaut()[:256, :256]
    return pixels


def compute(name: str, result: Pixels, reference: Pixels) -> float:
    metric = METRICS[name]
    if not metric.is_available:
        pytest.skip(f"{name} needs {' and '.join(metric.packages)}, or its weights")
    assert metric.compute is not None
    value = metric.compute(result, reference, 4)
    assert value is not None
    return value


@pytest.mark.parametrize("name", BASE)
def test_a_blurred_photo_is_worse_than_a_slightly_changed_one(name: str, photo: Pixels) -> None:
    slightly = np.where(photo < 255, photo + 1, photo).astype(np.uint8)
    blurred = bicubic(bicubic(photo, 64, 64), 256, 256)
    sign = 1 if METRICS[name].higher_is_better else -1
    assert sign * compute(name, slightly, photo) > sign * compute(name, blurred, photo)


def test_psnr_and_ssim_are_those_of_scikit_image(photo: Pixels) -> None:
    blurred = bicubic(bicubic(photo, 64, 64), 256, 256)
    a, b = (luma(p)[4:-4, 4:-4] for p in (photo, blurred))
    expected = peak_signal_noise_ratio(a, b, data_range=255)
    assert compute("psnr", blurred, photo) == pytest.approx(expected, abs=1e-6)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(a, b, data_range=255, **settings)
    assert compute("ssim", blurred, photo) == pytest.approx(expected, abs=1e-4)


def test_the_perceptual_ones_know_equal_images(photo: Pixels) -> None:
    assert compute("ssimulacra2", photo, photo) == pytest.approx(100, abs=0.01)
    assert compute("flip", photo, photo) == pytest.approx(0, abs=1e-6)


def test_niqe_needs_two_blocks_each_way(photo: Pixels) -> None:
    assert compute_niqe(photo[:199]) is None
    assert compute_niqe(photo[:200]) is not None


def test_the_score_takes_fidelity_and_naturalness() -> None:
    derive = METRICS["score"].derive
    assert derive is not None
    known: Measures = {"ssim": 0.8, "niqe": 6.0}
    assert derive(known) == pytest.approx(71)
    assert derive({"ssim": 0.8, "niqe": None}) is None
    assert "score" in list_metrics()


def test_lpips_is_left_out_without_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert "lpips" not in list_metrics()


@pytest.mark.parametrize("name", DAMAGES)
def test_damages_depend_on_the_seed_alone(name: str, photo: Pixels) -> None:
    damaged = DAMAGES[name](photo, 3)
    assert damaged.shape == photo.shape and damaged.dtype == np.uint8
    assert (DAMAGES[name](photo, 3) == damaged).all()
    assert (damaged == photo).all() == (name == "clean")


def test_generated_images_depend_on_the_seed_alone() -> None:
    for draw in (draw_text, draw_shapes):
        assert draw(1).shape == (480, 480, 3)
        assert (draw(1) == draw(1)).all()
        assert (draw(1) != draw(2)).any()
        assert np.ptp(draw(1)) > 100
