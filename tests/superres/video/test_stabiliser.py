"""Less flicker where nothing moves, and nothing of the past where something does."""

import numpy as np
import pytest

from evaluation.flicker import measure_flicker
from superres import Upscaler
from superres.image.frame import Frame, Pixels
from superres.pipeline import OutputOptions, upscale_frame
from superres.video.stabiliser import Stabiliser


@pytest.fixture(scope="module")
def scene() -> list[Pixels]:
    """A still picture with camera noise, over which a bright square moves."""
    draw = np.random.default_rng(7)
    y, x = np.mgrid[:64, :96]
    still = 90 + 60 * np.sin(x / 7) * np.cos(y / 9)
    frames = []
    for number in range(14):
        picture = np.repeat(still[..., None], 3, axis=2)
        picture[20:36, 4 * number : 4 * number + 16] = 235
        noisy = picture + draw.normal(0, 2.5, picture.shape)
        frames.append(noisy.clip(0, 255).round().astype(np.uint8))
    return frames


def enlarge(frames: list[Pixels], upscaler: Upscaler, strength: float) -> list[Pixels]:
    """Return the frames upscaled and smoothed."""
    stabiliser = Stabiliser(strength)
    made = []
    for pixels in frames:
        source = Frame(pixels)
        large = upscale_frame(source, upscaler, OutputOptions())
        made.append(stabiliser.smooth(source, large).colour)
    return made


def test_still_areas_flicker_less_than_half(scene: list[Pixels], upscaler: Upscaler) -> None:
    plain, smooth = (enlarge(scene, upscaler, strength) for strength in (0.0, 1.0))
    assert measure_flicker(scene, smooth) < 0.5 * measure_flicker(scene, plain)


def test_what_moves_leaves_no_trace(scene: list[Pixels], upscaler: Upscaler) -> None:
    plain, smooth = (enlarge(scene, upscaler, strength) for strength in (0.0, 1.0))
    for number in range(4, 14):
        # Where the square is, and where it was in the frame before.
        area = np.s_[3 * 20 : 3 * 36, 3 * 4 * (number - 1) : 3 * (4 * number + 16)]
        change = np.abs(smooth[number][area].astype(int) - plain[number][area])
        assert np.percentile(change, 99) <= 12  # noise alone; a trace is 60 levels and more


def test_a_cut_is_followed_at_once(scene: list[Pixels], upscaler: Upscaler) -> None:
    frames = [*scene[:4], *(255 - frame for frame in scene[:2])]
    plain, smooth = (enlarge(frames, upscaler, strength) for strength in (0.0, 1.0))
    change = np.abs(smooth[4].astype(int) - plain[4])
    assert np.percentile(change, 95) <= 8


def test_a_slow_fade_has_no_steps(upscaler: Upscaler) -> None:
    frames = [np.full((32, 32, 3), 100 + number // 2, np.uint8) for number in range(40)]
    levels = [int(frame[48, 48, 0]) for frame in enlarge(frames, upscaler, 1.0)]
    assert max(np.diff(levels)) <= 2 and levels == sorted(levels) and levels[-1] >= 114
