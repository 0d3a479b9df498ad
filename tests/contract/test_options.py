"""The table of options, and that everything that lists options follows it."""

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from contract.option import EXACT_FLOAT, WrongValue
from contract.options import (
    DEGRADE_OPTIONS,
    IMAGE_FORMATS,
    OPERATOR_OPTIONS,
    REQUEST_OPTIONS,
    SAMPLING_OPTIONS,
)
from superres.degradation.recipes import RECIPES
from superres.degrade import DegradeOptions
from tools.reference import replace_tables

ROOT = Path(__file__).parents[2]
NAMES = list(REQUEST_OPTIONS)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("quality", 80.0, 80),
        ("quality", " 80 ", 80),
        ("quality", "8e1", 80),
        ("denoise_strength", "0.5", 0.5),
        ("seed", str(2**63 - 1), 2**63 - 1),
        ("seed", float(EXACT_FLOAT), EXACT_FLOAT),
        ("keep_metadata", "True", True),
        ("keep_metadata", 0.0, False),
        ("prompt", "a cat", "a cat"),
    ],
)
def test_a_value_is_read_in_the_options_own_type(name: str, value: Any, read: Any) -> None:
    result = REQUEST_OPTIONS[name].read(value)
    assert result == read and type(result) is type(read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("quality", v) for v in (-1, 101, 80.5, "abc", math.nan, True, [80], "1_0", "")),
        *(("seed", v) for v in (-1, 2**63, float(2**60), "１２", "0" * 33)),
        *(("keep_metadata", v) for v in ("maybe", 2, [True])),
        *(("prompt", v) for v in (5, "x" * 1001)),
        ("errors", "maybe"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(WrongValue) as error:
        REQUEST_OPTIONS[name].read(value)
    assert error.value.allowed == REQUEST_OPTIONS[name].allowed
    assert error.value.code == "OPTION"


@pytest.mark.parametrize(("name", "code"), [("scale", "SCALE_TYPE"), ("model", "MODEL_TYPE")])
def test_text_of_another_type_has_a_code_of_its_own(name: str, code: str) -> None:
    with pytest.raises(WrongValue) as error:
        REQUEST_OPTIONS[name].read(2)
    assert error.value.code == code


@pytest.mark.parametrize("name", NAMES)
def test_a_default_is_a_value_of_its_option(name: str) -> None:
    option = REQUEST_OPTIONS[name]
    if option.default is None:
        assert option.default_text
    else:
        assert option.read(option.default) == option.default


def test_the_settings_of_an_executor_are_the_operators_options() -> None:
    from executors.settings import Settings

    assert {field.name for field in fields(Settings)} == OPERATOR_OPTIONS.keys()


def test_the_tables_of_the_reference_are_those_of_the_options() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert replace_tables(page) == page


def test_defaults_that_the_engine_has_too_are_the_same() -> None:
    from superres.codecs.encode import FORMATS, find_format
    from superres.diffusion.options import Sampling
    from superres.pipeline import OutputOptions

    options = OutputOptions()
    for name in ("quality", "png_compression", "tile", "keep_metadata"):
        assert REQUEST_OPTIONS[name].default == getattr(options, name)
    defaults = {field.name: field.default for field in fields(Sampling)}
    for name in ("steps", "guidance_scale", "noise_level"):
        assert float(REQUEST_OPTIONS[name].default_text) == defaults[name]
    assert SAMPLING_OPTIONS and set(SAMPLING_OPTIONS) == defaults.keys()
    assert {find_format(name) for name in IMAGE_FORMATS} == set(FORMATS.values())


def test_the_controls_of_the_page_have_the_ranges_of_the_options() -> None:
    script = (ROOT / "gateway/static/special.js").read_text(encoding="utf-8")
    rows = re.findall(r"^  (\w+): \{.*?min: (\d+), max: (\d+)", script, re.MULTILINE)
    assert rows
    for name, minimum, maximum in rows:
        option = REQUEST_OPTIONS[name]
        assert (option.minimum, option.maximum) == (int(minimum), int(maximum)), name


def test_the_recipes_of_degrade_are_those_that_there_are() -> None:
    assert DEGRADE_OPTIONS["recipe"].choices == tuple(RECIPES)
    options = DegradeOptions()
    assert DEGRADE_OPTIONS["recipe"].default == options.recipe
    assert DEGRADE_OPTIONS["reduction"].default == options.reduction
