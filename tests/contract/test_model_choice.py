"""Which model `auto` stands for."""

import math

import pytest

from contract.model_choice import Candidate, choose_model, is_automatic
from contract.problem import ProblemError

NONE: frozenset[str] = frozenset()


def model(
    name: str,
    quality: float | None,
    seconds: float,
    *,
    scale: int = 4,
    default: bool = False,
    options: tuple[str, ...] = (),
) -> Candidate:
    return Candidate(name, scale, quality, 70.0, seconds, default, frozenset(options))


SERVED = [
    model("compact", 73, 4, default=True),
    model("quick", 71, 0.3),
    model("strong", 74, 160, options=("face_enhance",)),
    model("plain", 69, 0.1),
    model("double", 90, 0.01, scale=2),
    model("unknown", None, 0.01),
]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("auto:fast", "quick"),
        ("auto:balanced", "compact"),
        ("auto", "compact"),
        ("auto:best", "strong"),
    ],
)
def test_each_preference_has_its_model(asked: str, chosen: str) -> None:
    choice = choose_model(asked, SERVED, NONE)
    assert (choice.asked, choice.model) == (asked, chosen)
    assert "3 x4 models" in choice.reason and "per megapixel here" in choice.reason


def test_models_that_take_the_options_go_first() -> None:
    assert choose_model("auto:fast", SERVED, frozenset({"face_enhance"})).model == "strong"
    assert choose_model("auto:fast", SERVED, frozenset({"prompt"})).model == "quick"


def test_where_nothing_beats_bicubic_it_says_so() -> None:
    choice = choose_model("auto:best", [SERVED[3], model("worse", 60, 0.05)], NONE)
    assert "none of" in choice.reason


def test_unmeasured_models_are_better_than_none() -> None:
    two = [model("a", None, 2, default=True), model("b", None, 1)]
    assert choose_model("auto:fast", two, NONE).model == "b"
    assert choose_model("auto:best", two, NONE).model == "a"
    assert choose_model("auto:balanced", two, NONE).model == "a"


def test_equals_leave_it_to_the_default() -> None:
    two = [model("a", 72, 1), model("b", 72, 1, default=True)]
    assert choose_model("auto:balanced", two, NONE).model == "b"


def test_costs_that_are_not_told_break_nothing() -> None:
    two = [model("a", 72, math.inf), model("b", 71, math.inf, default=True)]
    for preference in ("fast", "balanced", "best"):
        assert choose_model(f"auto:{preference}", two, NONE).model in {"a", "b"}


@pytest.mark.parametrize("asked", ["auto:", "auto:cheap", "auto:fast:x", "auto:FAST"])
def test_other_preferences_are_refused_by_name(asked: str) -> None:
    with pytest.raises(ProblemError) as caught:
        choose_model(asked, SERVED, NONE)
    problem = caught.value.problem
    assert problem.code == "MODEL" and problem.option == "model"
    assert asked in problem.message and "auto:balanced" in str(problem.allowed)


def test_what_is_automatic() -> None:
    assert is_automatic("auto") and is_automatic("auto:best")
    assert not any(map(is_automatic, ("automatic.x4", "bicubic_pp.x3", None, 3, "")))


def test_tags_of_an_older_executor_are_enough() -> None:
    one = Candidate.from_tags({"name": "a", "scale": 4.0}, is_default=True)
    assert choose_model("auto:fast", [one], NONE).model == "a"
