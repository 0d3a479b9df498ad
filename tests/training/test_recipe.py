from pathlib import Path

import pytest

from training.recipe import WrongRecipe, read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "training/recipes").glob("*.toml"))
SMALLEST = """
[student]
network = "bicubic_pp"
scale = 2
[data]
[[data.shares]]
weight = 1.0
degradation = "light"
hr_weight = 1.0
[training]
steps = 10
"""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.training.steps > 0
    assert recipe.data.shares


def test_defaults_fill_what_is_not_said(tmp_path: Path) -> None:
    path = tmp_path / "smallest.toml"
    path.write_text(SMALLEST)
    recipe = read_recipe(path)
    assert recipe.teacher is None
    assert recipe.data.shares[0].reduction == (1.0, 1.0)
    assert recipe.loss.l1 == 1.0


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "smallest.toml").write_text(SMALLEST)
    path = tmp_path / "longer.toml"
    path.write_text('base = "smallest.toml"\n[training]\nsteps = 99\n[loss]\nl1 = 0.5\n')
    recipe, base = read_recipe(path), read_recipe(tmp_path / "smallest.toml")
    assert (recipe.training.steps, recipe.loss.l1) == (99, 0.5)
    assert (recipe.student, recipe.data) == (base.student, base.data)
    path.write_text('base = "missing.toml"')
    with pytest.raises(WrongRecipe, match=r"base = 'missing.toml': expected the name of a recipe"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scale = 2", "", r"\[student\] scale is missing"),
        ("steps = 10", "stepps = 10", r"\[training\] stepps: expected one of steps, batch"),
        ("steps = 10", 'steps = "10"', r"steps = '10': expected a number"),
        ('"bicubic_pp"', '"vdsr"', r"network = 'vdsr': expected one of \('compact'"),
        ('"light"', '"heavy"', r"degradation = 'heavy': expected one of none, bicubic"),
        ("hr_weight = 1.0", "hr_weight = 0.5", r"hr_weight = 0.5: expected 1 where .* no teacher"),
        ("weight = 1.0", "weight = 0.0", r"at least one of a weight above 0"),
        ("[data]", "[data]\npatch = 8", r"patch = 8: expected more than twice the rim"),
        ("[training]", "[trainer]", r"sections \['trainer'\]: expected some of"),
        ("[student]", "[student", r"recipe \".*broken.toml\": "),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(SMALLEST.replace(old, new, 1))
    with pytest.raises(WrongRecipe, match=message):
        read_recipe(path)
