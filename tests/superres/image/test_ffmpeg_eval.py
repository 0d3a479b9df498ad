"""The evaluator alone: C's arithmetic, and a parser that fails with its own error only."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superres.image.ffmpeg_eval import ARITIES, CELLS, MAX_DEPTH, Expression, ExpressionError, cast

VARIABLES = frozenset({"x", "y", "z"})
SPECIAL = (math.inf, -math.inf, math.nan, 0.0, -0.0, 1e308, -1e308, 5e-324, 2.0**63, -(2.0**63))
doubles = st.sampled_from(SPECIAL) | st.floats()


def value(text: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> float:
    expression = Expression.parse(text, VARIABLES)
    return expression.value({"x": x, "y": y, "z": z}, [0.0] * CELLS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2*3^2", 19),
        ("-2^2", -4),
        ("2^3^2", 64),
        ("2^-1", 0.5),
        ("8/4/2", 1),
        ("1--2", 3),
        ("1;2;3", 3),
        ("1 0 + 1", 11),
        ("0x1F", 31),
        (".5e1", 5),
        ("1E2", 100),
        ("1E", 1e18),
        ("3Ki", 3072),
        ("2B", 16),
        ("1m", 0.001),
        ("1/0", math.inf),
        ("-1/0", -math.inf),
        ("log(0)", -math.inf),
        ("exp(1e9)", math.inf),
        ("sinh(-1e9)", -math.inf),
        ("cosh(-1e9)", math.inf),
        ("pow(-10,1001)", -math.inf),
        ("pow(-10,1002)", math.inf),
        ("pow(0,-1)", math.inf),
        ("9^9^9^9", math.inf),
        ("squish(1e9)", 0),
        ("round(-2.5)", -3),
        ("round(0.49999999999999994)", 0),
        ("mod(-7,3)", 2),
        ("gcd(-12,18)", 6),
        ("gcd(0,-5)", -5),
        ("max(0/0,5)", 5),
        ("if(0/0,1,2)", 1),
        ("ifnot(0,7)", 7),
        ("if(0,7)", 0),
        ("bitand(-1,255)", 255),
        ("ld(st(3,3))", 3),
        ("st(99,5);ld(9)", 5),
        ("if(0,st(0,1));ld(0)", 0),
        ("between(5,1,5)", 1),
        ("lerp(10,20,0.25)", 12.5),
    ],
)
def test_values_are_those_of_c(text: str, expected: float) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("text", ["0/0", "sqrt(-1)", "log(-1)", "acos(2)", "sin(1/0)", "mod(1,0)"])
def test_what_has_no_result_is_not_a_number(text: str) -> None:
    assert math.isnan(value(text))


@pytest.mark.parametrize("text", ["", "1+", "(1", "1)", "sin", "sin()", "max(1)", "1 2x", "---1"])
def test_what_is_not_an_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression.parse(text, VARIABLES)


def test_brackets_nest_up_to_the_limit() -> None:
    depth = MAX_DEPTH - 1
    assert value("(" * depth + "7" + ")" * depth) == 7
    with pytest.raises(ExpressionError, match="nested"):
        value("(" * (depth + 1) + "7" + ")" * (depth + 1))


def test_an_expression_knows_its_variables() -> None:
    assert Expression.parse("x*2+min(y,PI)", VARIABLES).names == {"x", "y"}


@pytest.mark.parametrize("name", ARITIES)
@settings(max_examples=20)
@given(x=doubles, y=doubles, z=doubles)
def test_every_function_takes_every_double(name: str, x: float, y: float, z: float) -> None:
    for count in ARITIES[name]:
        arguments = ",".join("xyz"[:count])
        assert isinstance(value(f"-{name}({arguments})", x, y, z), float)


@given(x=doubles)
def test_conversion_to_an_integer_stays_within_32_bits(x: float) -> None:
    assert -(2**31) <= cast(x) <= 2**31 - 1
