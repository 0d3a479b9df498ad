import random
from collections.abc import Iterator
from typing import NamedTuple

from superres.geometry import Size
from superres.image.size_expression import MAX_LENGTH, NAMED_SIZES
from tests.superres.image.size_cases import DIFFERENCES, HD, ODD, PORTRAIT, Ffmpeg, outcome, refusal


class Case(NamedTuple):
    """A generated text: `width` and `height` are expressions, `keys` what follows them."""

    source: Size
    width: str
    height: str
    keys: str
    mutated: bool

    @property
    def text(self) -> str:
        return f"{self.width}:{self.height}{self.keys}"


SOURCES = [
    *(PORTRAIT, ODD, HD, Size(1, 1), Size(1, 2), Size(3, 2), Size(7, 5), Size(17, 33)),
    *(Size(997, 13), Size(1, 2000), Size(640, 479), Size(4001, 3)),
]
ONE = "abs acos asin atan ceil cos cosh exp floor gauss isinf isnan ld log not round sgn sin sinh"
ONE += " sqrt squish tan tanh trunc"
TWO = "atan2 bitand bitor eq gcd gt gte hypot if ifnot lt lte max min mod pow"
THREE = "between clip lerp if ifnot"
ARITIES = {1: ONE, 2: TWO, 3: THREE}
FUNCTIONS = [(name, count) for count, names in ARITIES.items() for name in names.split()]
CHARACTERS = "()+-*/^;,. 0123456789abdeiowhkKMGBPEx_#"


class Generator:
    """Repeatable expressions of all kinds that FFmpeg knows, some of them broken on purpose."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def cases(self, count: int) -> Iterator[Case]:
        while count:
            case = self.case()
            twice = "clip(" in case.text or "sgn(" in case.text  # see DIFFERENCES
            if len(case.text) <= MAX_LENGTH and not (twice and "st(" in case.text):
                count -= 1
                yield case

    def case(self) -> Case:
        width, height = self.side("oh"), self.side("ow")
        mutated = self.random.random() < 0.15
        if mutated:
            width = self.mutation(width)
        return Case(self.random.choice(SOURCES), width, height, self.keys(), mutated)

    def keys(self) -> str:
        if self.random.random() < 0.8:
            return ""
        ratio = self.random.choice(("decrease", "increase", "disable", "0", "1", "2"))
        multiple = self.random.choice((1, 2, 7, 8, 16, 256))
        return f":force_original_aspect_ratio={ratio}:force_divisible_by={multiple}"

    def side(self, other: str) -> str:
        pick, choice = self.random.randrange, self.random.choice
        return choice(
            (
                lambda: str(pick(1, 3000)),
                lambda: str(pick(-40, 3)),
                lambda: f"{self.random.uniform(-5, 900):.{pick(6)}f}",
                lambda: f"i{choice('wh')}{choice('*/')}{pick(1, 400) / 100}",
                lambda: f"trunc({self.expression(2, other)}/{pick(2, 17)})*{pick(2, 17)}",
                lambda: f"{choice('+-')}{self.expression(2, other)}*{pick(1, 300)}",
                lambda: f"st({pick(3)},{self.expression(2, other)});ld({pick(3)})*{pick(90)}+ld(0)",
                lambda: f"abs({self.expression(4, other)})",
                lambda: f"mod({self.expression(3, other)},2000)",
                lambda: self.expression(4, other),
            )
        )()

    def expression(self, depth: int, other: str) -> str:
        if not depth or self.random.random() < 0.15:
            return self.leaf(other)
        parts = [self.expression(depth - 1, other) for _ in range(3)]
        kind = self.random.random()
        if kind < 0.4:
            return f"{parts[0]}{self.random.choice('+-*/')}{parts[1]}"
        if kind < 0.5:
            return f"({parts[0]}{self.random.choice('^*-;')}{parts[1]})"
        if kind < 0.6:
            return f"{self.random.choice(('-', '+', ' - '))}{parts[0]}"
        name, count = self.random.choice(FUNCTIONS)
        return f"{name}({','.join(parts[:count])})"

    def leaf(self, other: str) -> str:
        number = self.random.randrange(1, 1000)
        names = ["iw", "ih", "in_w", "in_h", "a", "sar", "dar", "hsub", "ovsub", "PI", "E", "PHI"]
        numbers = [f"{number}", f"{number / 100}", f"0x{number:x}", f"{number}e-1", f"-{number}"]
        suffixes = [f"{number % 9}k", f"{number}m", f".{number}Ki", f"{number % 60}dB", "7d"]
        own = [other] if self.random.random() < 0.3 else []
        return self.random.choice(names + numbers * 2 + suffixes + own + ["0", "1", "nan", "inf"])

    def mutation(self, text: str) -> str:
        at = self.random.randrange(len(text))
        cut = self.random.randrange(2) if len(text) > 1 else 0
        extra = self.random.choice([*CHARACTERS, ""])
        return text[:at] + (extra or "1" * (1 - cut)) + text[at + cut :]


def test_the_table_of_differences_tells_the_truth_about_ffmpeg(ffmpeg: Ffmpeg) -> None:
    sizes = ffmpeg.sizes([(PORTRAIT, difference.text) for difference in DIFFERENCES])
    assert sizes == [difference.ffmpeg for difference in DIFFERENCES]


def test_named_sizes_are_those_of_ffmpeg(ffmpeg: Ffmpeg) -> None:
    sizes = ffmpeg.sizes([(PORTRAIT, name) for name in NAMED_SIZES])
    assert sizes == [outcome(name) for name in NAMED_SIZES]


def test_generated_expressions_have_ffmpegs_result(ffmpeg: Ffmpeg) -> None:
    cases = list(Generator(seed=9).cases(2400))
    pairs = [(side, text) for case in cases for side, text in zip("wh", case[1:3], strict=True)]
    malformed = {index // 2 for index in ffmpeg.malformed(pairs)}
    good = [index for index in range(len(cases)) if index not in malformed]
    sizes = ffmpeg.sizes([(cases[index].source, cases[index].text) for index in good])
    expected = dict(zip(good, sizes, strict=True))
    wrong, lenient = [], 0
    for index, case in enumerate(cases):
        result = outcome(case.text, case.source)
        if case.mutated and result == "SCALE_SYNTAX" and expected.get(index):
            lenient += 1
        elif not agree(case, result, expected.get(index)):
            wrong.append((case.source, case.text, result, expected.get(index)))
    assert wrong == []
    assert lenient < len(cases) / 100
    assert sum(size is not None for size in sizes) > 1200
    assert len(malformed) > 100
    assert sum(size is None for size in sizes) > 100


def agree(case: Case, result: Size | str, ffmpeg: Size | None) -> bool:
    """Whether our result is ffmpeg's, but for what DIFFERENCES lists."""
    if result == "SCALE_TOO_LARGE":
        return True
    if ffmpeg is not None and result == "SCALE_VALUE":
        return "32 bits" in str(refusal(case.text, case.source, Size(2**31, 2**31)))
    return (None if isinstance(result, str) else result) == ffmpeg
