"""What is learned of the speed of models."""

import pytest

from superres.catalogue import CATALOGUE
from superres.estimation.calibration import PaceTracker
from superres.model_spec import Speed


def test_fast_models_take_less_time_than_slow_ones() -> None:
    by_speed = {
        speed: [s.seconds_per_megapixel for s in CATALOGUE.values() if s.speed is speed]
        for speed in Speed
    }
    assert max(by_speed[Speed.FAST]) < min(by_speed[Speed.SLOW])


def test_nothing_is_known_at_first() -> None:
    assert PaceTracker().get_pace("any") == 1.0


def test_the_first_request_tells_and_the_next_correct_it() -> None:
    pace = PaceTracker()
    pace.learn("a", 2.0, 6.0)
    assert pace.get_pace("a") == pytest.approx(3.0)
    for _ in range(40):
        pace.learn("a", 2.0, 2.0)
    assert pace.get_pace("a") == pytest.approx(1.0, rel=0.01)


def test_a_model_without_requests_is_as_slow_as_the_others() -> None:
    pace = PaceTracker()
    pace.learn("a", 1.0, 2.0)
    pace.learn("b", 1.0, 4.0)
    assert pace.get_pace("c") == pytest.approx(3.0)


def test_one_odd_request_changes_little() -> None:
    pace = PaceTracker()
    pace.learn("a", 1.0, 1.0)
    pace.learn("a", 1.0, 1e6)
    assert 1.0 < pace.get_pace("a") < 2.0


@pytest.mark.parametrize(("estimated", "taken"), [(0.0, 1.0), (1.0, 0.0)])
def test_what_took_no_time_teaches_nothing(estimated: float, taken: float) -> None:
    pace = PaceTracker()
    pace.learn("a", estimated, taken)
    assert pace.get_pace("a") == 1.0
