"""Expression: arithmetic on numbers, names and functions in the grammar of FFmpeg's libavutil.

Values are C doubles: what overflows is infinite, what has no result is NaN, and nothing raises.
There are no loops, so the work is bounded by the length of the text.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

MAX_DEPTH = 50
CELLS = 10  # what st() and ld() can address

INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)

_LOG2_10 = 3.32192809488736234787

_CONSTANTS: Mapping[str, float] = {
    "E": math.e,
    "PI": math.pi,
    "PHI": (1 + math.sqrt(5)) / 2,
    "QP2LAMBDA": 118.0,
}
REFUSED: Mapping[str, str] = {
    "while": "it may never end",
    "taylor": "its work is not bounded",
    "root": "its work is not bounded",
    "random": "its value is not the same twice",
    "randomi": "its value is not the same twice",
    "time": "its value is not the same twice",
    "print": "it writes to the log",
}
_SI_PREFIXES: Mapping[str, int] = dict(
    zip("yzafpnumcdhkKMGTPEZY", (*range(-24, 0, 3), -2, -1, 2, 3, *range(3, 25, 3)), strict=True)
)

# strtod, and strtoul for what begins with 0x; a sign belongs to the number as in "1--2".
NUMBER = re.compile(
    r"[+-]?(?:(?P<hex>0[xX][0-9a-fA-F]+)|(?P<word>(?i:infinity|inf|nan))"
    r"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpressionError(ValueError):
    """The text is not an expression; `str(error)` says which part is wrong."""


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A variable, times `sign`."""

    name: str
    sign: float = 1.0


@dataclass(frozen=True)
class Call:
    """An operator or function on its arguments, times `sign`."""

    function: str
    arguments: tuple["Node", ...]
    sign: float = 1.0


Node = Number | Name | Call


@dataclass(frozen=True)
class Expression:
    """A parsed expression and the variables in it."""

    root: Node
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str, variables: frozenset[str]) -> "Expression":
        """Return the expression in `text` without its spaces. Raises ExpressionError."""
        parser = _Parser(text.replace(" ", ""), variables)
        return cls(parser.whole(), frozenset(parser.names))

    def value(self, variables: Mapping[str, float], memory: list[float]) -> float:
        """Return the value, perhaps NaN or infinite; `memory` has the CELLS numbers of st() and
        ld().
        """
        return _evaluate(self.root, variables, memory)


class _Parser:
    """Recursive descent over `text`, from the loosest binding to the tightest."""

    def __init__(self, text: str, variables: frozenset[str]) -> None:
        self.text = text
        self.variables = variables
        self.names: set[str] = set()
        self.at = 0
        self.depth = 0

    def whole(self) -> Node:
        node = self.sequence()
        if self.at < len(self.text):
            raise ExpressionError(f'"{self.rest}" is left over')
        return node

    @property
    def rest(self) -> str:
        return self.text[self.at : self.at + 20]

    def take(self, characters: str) -> str:
        """Return the next character if it is one of `characters`, else ""."""
        found = self.text[self.at : self.at + 1]
        if not found or found not in characters:
            return ""
        self.at += 1
        return found

    def expect(self, character: str) -> None:
        if not self.take(character):
            found = f'"{self.rest}"' if self.rest else "the end"
            raise ExpressionError(f'"{character}" is missing before {found}')

    def sequence(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} nested brackets")
        node = self.sum()
        while self.take(";"):
            node = Call(";", (node, self.sum()))
        self.depth -= 1
        return node

    def sum(self) -> Node:
        node = self.product()
        # The sign stays where it is: it is the next term's own.
        while self.text[self.at : self.at + 1] in ("+", "-"):
            node = Call("+", (node, self.product()))
        return node

    def product(self) -> Node:
        node = self.power()
        while operator := self.take("*/"):
            node = Call(operator, (node, self.power()))
        return node

    def power(self) -> Node:
        """Parse a power: `-2^2` is -4 and `2^3^2` is 64, bound to the left, the first sign last."""
        sign, node = self.signed()
        while self.take("^"):
            exponent_sign, exponent = self.signed()
            node = Call("^", (node, _apply_sign(exponent, exponent_sign)))
        return _apply_sign(node, sign)

    def signed(self) -> tuple[float, Node]:
        number = NUMBER.match(self.text, self.at)
        decibels = number is not None and self.text.startswith("dB", number.end())
        # -3dB is 10^(-3/20), so its sign belongs to the number.
        sign = "" if decibels else self.take("+-")
        return (-1.0 if sign == "-" else 1.0), self.primary()

    def primary(self) -> Node:
        if number := NUMBER.match(self.text, self.at):
            self.at = number.end()
            return Number(self.with_suffix(_number(number)))
        if name := NAME.match(self.text, self.at):
            self.at = name.end()
            return self.call(name[0]) if self.take("(") else self.named(name[0])
        if self.take("("):
            node = self.sequence()
            self.expect(")")
            return node
        found = f'"{self.rest}"' if self.rest else "the end"
        raise ExpressionError(f"a number or name is missing before {found}")

    def with_suffix(self, value: float) -> float:
        if self.text.startswith("dB", self.at):
            self.at += 2
            value = _ratio(value)
        elif prefix := self.take("".join(_SI_PREFIXES)):
            exponent = _SI_PREFIXES[prefix]
            value *= 2.0 ** (exponent / 0.3) if self.take("i") else float(f"1e{exponent}")
        return value * 8 if self.take("B") else value

    def named(self, name: str) -> Node:
        if name in self.variables:
            self.names.add(name)
            return Name(name)
        if name in _CONSTANTS:
            return Number(_CONSTANTS[name])
        raise ExpressionError(f'unknown name "{name[:20]}"')

    def call(self, name: str) -> Node:
        if name in REFUSED:
            raise ExpressionError(f"{name}() is not allowed: {REFUSED[name]}")
        if name not in ARITIES:
            raise ExpressionError(f'unknown function "{name[:20]}"')
        arguments = [self.sequence()]
        while self.take(","):
            arguments.append(self.sequence())
        self.expect(")")
        if len(arguments) not in ARITIES[name]:
            wanted = " or ".join(str(count) for count in ARITIES[name])
            raise ExpressionError(f"{name}() takes {wanted} arguments, not {len(arguments)}")
        return Call(name, tuple(arguments))


def _number(match: re.Match[str]) -> float:
    """Return the value of a match of NUMBER."""
    if match["hex"]:
        value = float(min(int(match["hex"], 16), 2**64 - 1))
        return -value if match[0].startswith("-") else value
    return float(match[0])


def _ratio(decibels: float) -> float:
    """Return 10^(decibels/20) as FFmpeg computes it: 20dB is a little less than 10."""
    try:
        return math.exp2(_LOG2_10 * (decibels / 20))
    except OverflowError:
        return math.inf


def _apply_sign(node: Node, sign: float) -> Node:
    """Return `node` times `sign`."""
    if isinstance(node, Number):
        return Number(node.value * sign)
    return replace(node, sign=node.sign * sign)


def _evaluate(node: Node, variables: Mapping[str, float], memory: list[float]) -> float:
    """Return the value of `node`; st() writes to `memory`."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return node.sign * variables[node.name]

    def argument(index: int) -> float:
        return _evaluate(node.arguments[index], variables, memory)

    if node.function in ("if", "ifnot"):
        return node.sign * _choose(node, argument)
    if node.function == "between":
        low = argument(0)
        return node.sign * (low >= argument(1) and low <= argument(2))
    values = tuple(argument(index) for index in range(len(node.arguments)))
    if node.function == "ld":
        return node.sign * memory[_cell(values[0])]
    if node.function == "st":
        memory[_cell(values[0])] = values[1]
    return node.sign * _operate(node.function, values)


def _choose(node: Call, argument: Callable[[int], float]) -> float:
    """if() and ifnot(): only the branch taken is evaluated; a missing one is 0."""
    if bool(argument(0)) == (node.function == "if"):
        return argument(1)
    return argument(2) if len(node.arguments) > 2 else 0.0


def _operate(function: str, values: tuple[float, ...]) -> float:
    """Return a function of OPERATIONS with C's results where Python raises: infinite, or NaN."""
    try:
        return float(_OPERATIONS[function](*values))
    except OverflowError:
        return _infinite(function, values)
    except ValueError:
        if values[0] == 0 and function == "log":
            return -math.inf
        return _infinite(function, values) if values[0] == 0 and function in _POWERS else math.nan


def _infinite(function: str, values: tuple[float, ...]) -> float:
    """Return what an overflow or a pole gives: negative only where an odd function has a negative
    base.
    """
    odd = function == "sinh" or (function in _POWERS and values[1] % 2 == 1)
    return math.copysign(math.inf, values[0]) if odd else math.inf


def cast(value: float, bounds: tuple[int, int] = INT32) -> int:
    """C's conversion to an integer as x86 does it: towards zero, the least one if out of range."""
    lowest, highest = bounds
    return int(value) if lowest - 1 < value < highest + 1 else lowest


def _cell(value: float) -> int:
    return min(max(cast(value), 0), CELLS - 1)


def _long(value: float) -> int:
    return cast(value, _INT64)


def _integral(function: Callable[[float], int]) -> Callable[[float], float]:
    """Return `function` for every double: what is not finite stays as it is, a zero keeps
    its sign.
    """
    return lambda x: math.copysign(float(function(x)), x) if math.isfinite(x) else x


def _round(x: float) -> int:
    """Return the nearest integer, halves away from zero."""
    whole = math.trunc(x)
    return whole + (1 if x > 0 else -1) if abs(x - whole) >= 0.5 else whole


def _divide(x: float, y: float) -> float:
    return x / y if y else x * math.inf


def _modulo(x: float, y: float) -> float:
    return x - _integral(math.floor)(_divide(x, y)) * y


def _clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high) if low <= high and not math.isnan(x) else math.nan


def _gcd(x: float, y: float) -> float:
    a, b = _long(x), _long(y)
    return float(cast(math.gcd(a, b), _INT64) if a and b else a + b)


def _bitwise(function: Callable[[int, int], int]) -> Callable[[float, float], float]:
    def operation(x: float, y: float) -> float:
        return math.nan if math.isnan(x + y) else float(function(_long(x), _long(y)))

    return operation


# Unlike Python's, min and max answer with the second argument when either is NaN.
_OPERATIONS: Mapping[str, Callable[..., float]] = {
    ";": lambda _, y: y,
    "+": lambda x, y: x + y,
    "*": lambda x, y: x * y,
    "/": _divide,
    "^": math.pow,
    "pow": math.pow,
    "abs": abs,
    "acos": math.acos,
    "asin": math.asin,
    "atan": math.atan,
    "atan2": math.atan2,
    "bitand": _bitwise(int.__and__),
    "bitor": _bitwise(int.__or__),
    "ceil": _integral(math.ceil),
    "clip": _clip,
    "cos": math.cos,
    "cosh": math.cosh,
    "eq": lambda x, y: x == y,
    "exp": math.exp,
    "floor": _integral(math.floor),
    "gauss": lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "gcd": _gcd,
    "gt": lambda x, y: x > y,
    "gte": lambda x, y: x >= y,
    "hypot": math.hypot,
    "isinf": math.isinf,
    "isnan": math.isnan,
    "lerp": lambda x, y, part: x + (y - x) * part,
    "log": math.log,
    "lt": lambda x, y: x < y,
    "lte": lambda x, y: x <= y,
    "max": lambda x, y: x if x > y else y,
    "min": lambda x, y: x if x < y else y,
    "mod": _modulo,
    "not": lambda x: x == 0,
    "round": _integral(_round),
    "sgn": lambda x: (x > 0) - (x < 0),
    "sin": math.sin,
    "sinh": math.sinh,
    "sqrt": math.sqrt,
    "squish": lambda x: 1 / (1 + _operate("exp", (4 * x,))),
    "st": lambda _, value: value,
    "tan": math.tan,
    "tanh": math.tanh,
    "trunc": _integral(math.trunc),
}
_POWERS = ("^", "pow")
TWO = (
    *("atan2", "bitand", "bitor", "eq", "gcd", "gt", "gte", "hypot", "lt", "lte", "max", "min"),
    *("mod", "pow", "st"),
)
ARITIES: Mapping[str, tuple[int, ...]] = (
    dict.fromkeys((name for name in (*_OPERATIONS, "ld") if name.isalnum()), (1,))
    | dict.fromkeys(TWO, (2,))
    | dict.fromkeys(("between", "clip", "lerp"), (3,))
    | dict.fromkeys(("if", "ifnot"), (2, 3))
)
