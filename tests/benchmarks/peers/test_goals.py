import pytest

from benchmarks.peers.goals import GOALS, judged
from benchmarks.speed import SIZES
from superres.geometry import Size

VGA = Size(640, 480)
X4PLUS = {
    "ours": {"seconds": 10.0, "network_of_peak": 0.85, "peak_mb": 900.0, "idle_mb": 500.0},
    "ours-1.2gb": {"seconds": 12.0, "peak_mb": 1300.0, "idle_mb": 500.0, "largest_difference": 1},
    "realesrganer": {"seconds": 14.0, "peak_mb": 4500.0, "idle_mb": 500.0},
    "realesrganer-128": {"seconds": 12.0},
}


def test_what_was_measured_is_compared_with_what_was_wanted() -> None:
    made = {row["goal"].strip(): row for row in judged("realesrgan.x4plus", VGA, X4PLUS)}
    met = {goal: row["met"] for goal, row in made.items()}
    assert met == {
        "as fast as RealESRGANer untiled": True,
        "within 1.2 GB, as fast as its tiles of 128": True,
        "resident MB then": False,
        "largest difference then, in 1/255": True,
        "of fp32 matmul inside the network": True,
        "memory above idle, of RealESRGANer's untiled": True,
    }
    assert made["as fast as RealESRGANer untiled"]["measured"] == pytest.approx(1.4)
    assert made["memory above idle, of RealESRGANer's untiled"]["measured"] == pytest.approx(0.1)


def test_another_size_than_the_goals_is_named() -> None:
    goals = judged("realesrgan.x4plus", Size(64, 48), X4PLUS)
    assert {goal["stated_for"] for goal in goals} == {VGA}
    assert not any("stated_for" in goal for goal in judged("realesrgan.x4plus", VGA, X4PLUS))


def test_every_goal_is_about_a_model_that_is_measured() -> None:
    assert {goal.model for goal in GOALS} <= SIZES.keys()
