"""The `scale` option against what the real ffmpeg 9.0.2 does with the same text."""

import json
import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superres.errors import BadOption
from superres.geometry import Size
from superres.image.size_expression import (
    ALGORITHMS,
    MAX_LENGTH,
    MODIFIERS,
    NAMED_SIZES,
    SizeExpression,
)

PORTRAIT = Size(200, 300)
ODD = Size(201, 301)
HD = Size(1920, 1080)

# Measured with ffmpeg 9.0.2; a string is the code of our error where ffmpeg has an error too.
MEASURED: tuple[tuple[Size, str, Size | str], ...] = (
    (PORTRAIT, "600:-1", Size(600, 900)),
    (PORTRAIT, "-7:600", Size(399, 600)),
    (PORTRAIT, "600:-7", Size(600, 903)),
    (PORTRAIT, "iw*2:-2", Size(400, 600)),
    (PORTRAIT, "0:600", Size(200, 600)),
    (PORTRAIT, "600:0", Size(600, 300)),
    (PORTRAIT, "0:0", PORTRAIT),
    (PORTRAIT, "0:-0", PORTRAIT),
    (PORTRAIT, "-1:-1", PORTRAIT),
    (PORTRAIT, "-2:-7", PORTRAIT),
    (PORTRAIT, "-1:601", Size(401, 601)),
    (PORTRAIT, "601:-2", Size(601, 902)),
    (PORTRAIT, "-2:601", Size(400, 601)),
    (PORTRAIT, "-1:100", Size(67, 100)),
    (PORTRAIT, "-3:100", Size(66, 100)),
    (PORTRAIT, "-4:100", Size(68, 100)),
    (PORTRAIT, "-128:100", Size(128, 100)),
    (PORTRAIT, "-300:100", "SCALE_VALUE"),
    (PORTRAIT, "-7:1", "SCALE_VALUE"),
    (PORTRAIT, "1:-1", Size(1, 2)),
    (PORTRAIT, "iw/3:ih/3", Size(66, 100)),
    (PORTRAIT, "iw*1.337:ih*1.337", Size(267, 401)),
    (PORTRAIT, "0.9:0.9", PORTRAIT),
    (PORTRAIT, "1.9:1.9", Size(1, 1)),
    (PORTRAIT, "-0.5:600", Size(200, 600)),
    (PORTRAIT, "-1.9:600", Size(400, 600)),
    (PORTRAIT, "-2.9:600", Size(400, 600)),
    (PORTRAIT, "99.5:-1", Size(99, 149)),
    (PORTRAIT, "--1:600", Size(1, 600)),
    (PORTRAIT, "0x64:-1", Size(100, 150)),
    (PORTRAIT, "1k:-1", Size(1000, 1500)),
    (PORTRAIT, "trunc(20dB*10):-1", Size(99, 149)),
    (PORTRAIT, "-2^2+100:2^3^2", Size(96, 64)),
    (PORTRAIT, "st(0,ld(0)+1)*100:-1", PORTRAIT),
    (PORTRAIT, " 600 : -1 ", Size(600, 900)),
    (PORTRAIT, "6 00:-1", Size(600, 900)),
    (PORTRAIT, "oh*a:600", Size(400, 600)),
    (PORTRAIT, "oh:150", Size(150, 150)),
    (PORTRAIT, "iw:ow/2", Size(200, 100)),
    (PORTRAIT, "oh:ow", PORTRAIT),
    (PORTRAIT, "ow:600", "SCALE_SYNTAX"),
    (PORTRAIT, "600:oh", "SCALE_SYNTAX"),
    (PORTRAIT, "hsub*100:vsub*100", Size(100, 100)),
    (PORTRAIT, "min(500,iw*2):min(500,ih*2)", Size(400, 500)),
    (PORTRAIT, "if(gt(a,1),600,-1):if(gt(a,1),-1,600)", Size(400, 600)),
    (PORTRAIT, "trunc(iw/16)*16:trunc(ih/16)*16", Size(192, 288)),
    (PORTRAIT, "min(iw,ih,3):-1", "SCALE_SYNTAX"),
    (PORTRAIT, "600:600:force_original_aspect_ratio=decrease", Size(400, 600)),
    (PORTRAIT, "600:600:force_original_aspect_ratio=increase", Size(600, 900)),
    (
        PORTRAIT,
        "500:500:force_original_aspect_ratio=decrease:force_divisible_by=16",
        Size(336, 496),
    ),
    (PORTRAIT, "600", "SCALE_SYNTAX"),
    (PORTRAIT, "600x900", Size(600, 900)),
    (PORTRAIT, "hd720", Size(1280, 720)),
    (PORTRAIT, "h=600", Size(200, 600)),
    (PORTRAIT, "600:-1:3", "SCALE_SYNTAX"),
    (PORTRAIT, "600:-1:lanczos", Size(600, 900)),
    (PORTRAIT, "600:-1:flags=bogus", "SCALE_SYNTAX"),
    (PORTRAIT, "600:", "SCALE_SYNTAX"),
    (PORTRAIT, ":600", "SCALE_SYNTAX"),
    (PORTRAIT, ":", "SCALE_SYNTAX"),
    (PORTRAIT, "::", "SCALE_SYNTAX"),
    (PORTRAIT, "abc", "SCALE_SYNTAX"),
    (PORTRAIT, "abc:def", "SCALE_SYNTAX"),
    (PORTRAIT, "600:abc", "SCALE_SYNTAX"),
    (PORTRAIT, "0:abc", "SCALE_SYNTAX"),
    (PORTRAIT, "-0:x", "SCALE_SYNTAX"),
    (PORTRAIT, "1e9:1", "SCALE_TOO_LARGE"),
    (PORTRAIT, "1:1e9", "SCALE_TOO_LARGE"),
    (PORTRAIT, "100000:100000", "SCALE_TOO_LARGE"),
    (PORTRAIT, "0/0:600", "SCALE_VALUE"),
    (PORTRAIT, "inf:600", "SCALE_TOO_LARGE"),
    (PORTRAIT, "６００:-1", "SCALE_SYNTAX"),
    (PORTRAIT, "1_000:2", "SCALE_SYNTAX"),
    (PORTRAIT, "600px:-1", "SCALE_SYNTAX"),
    (ODD, "-2:-2", ODD),
    (ODD, "602:-2", Size(602, 902)),
    (ODD, "iw*1.5:ih*1.5", Size(301, 451)),
    (HD, "-1:480", Size(853, 480)),
    (HD, "-2:480", Size(854, 480)),
    (Size(3, 2), "-1:1", Size(2, 1)),
    (Size(1, 2), "-1:5", Size(3, 5)),
    (Size(1, 1), "-4:2", Size(4, 2)),
    (Size(3, 1), "1:-1", "SCALE_VALUE"),
    (Size(1, 20000), "-1:100", "SCALE_VALUE"),
    (Size(1, 20000), "iw*4:-1", Size(4, 80000)),
)


class Difference(NamedTuple):
    """A text that ffmpeg and we read differently, for a picture of 200x300, and why."""

    text: str
    ffmpeg: Size
    ours: Size | str
    reason: str


LEFT_OUT = "leaving the option out says it better, and an empty field is likelier a mistake"
ENDLESS = "its work is not bounded by its length"
NO_32_BITS = "converting it to an integer is undefined in C: it depends on the machine"
LENIENT = "ffmpeg reads on behind a mistake"
OURS = "the resampling is ours"
DIFFERENCES = (
    Difference("", PORTRAIT, "SCALE_SYNTAX", LEFT_OUT),
    Difference("600:-1:", Size(600, 900), "SCALE_SYNTAX", LEFT_OUT),
    Difference("print(300):-1", Size(300, 450), "SCALE_SYNTAX", "a request must not write our log"),
    Difference("root(ld(0)-5,10)*100:-1", Size(500, 750), "SCALE_SYNTAX", ENDLESS),
    Difference("taylor(1,1)*100:-1", Size(271, 407), "SCALE_SYNTAX", ENDLESS),
    Difference("while(0,1);600:-1", Size(600, 900), "SCALE_SYNTAX", ENDLESS),
    Difference("0*random(0)+600:-1", Size(600, 900), "SCALE_SYNTAX", "not the same twice"),
    Difference("0*time(0)+600:-1", Size(600, 900), "SCALE_SYNTAX", "not the same twice"),
    Difference(
        "n*600+600:-1:eval=frame", Size(600, 900), "SCALE_SYNTAX", "pictures have no number"
    ),
    Difference("1e10:-1", PORTRAIT, "SCALE_TOO_LARGE", NO_32_BITS),
    Difference("-1e10:-1", PORTRAIT, "SCALE_VALUE", NO_32_BITS),
    Difference("oh*2:ow", PORTRAIT, "SCALE_VALUE", NO_32_BITS),
    Difference("abs(500,):-1", Size(500, 750), "SCALE_SYNTAX", LENIENT),
    Difference("if(1,500,):-1", Size(500, 750), "SCALE_SYNTAX", LENIENT),
    Difference("sin+5(1)*100:-1", Size(84, 126), "SCALE_SYNTAX", LENIENT),
    Difference("600*900", Size(600, 900), "SCALE_SYNTAX", LENIENT),
    Difference("--0x1p4:600", Size(16, 600), "SCALE_SYNTAX", "nobody writes hexadecimal exponents"),
    Difference("600\t:-1", Size(600, 900), "SCALE_SYNTAX", "control characters are for attacks"),
    Difference("600\n:-1", Size(600, 900), "SCALE_SYNTAX", "control characters are for attacks"),
    Difference("(" * 60 + "600" + ")" * 60 + ":-1", Size(600, 900), "SCALE_SYNTAX", "depth"),
    Difference("600" + "+0" * 100 + ":-1", Size(600, 900), "SCALE_SYNTAX", "length"),
    Difference("600:-1:in_range=full", Size(600, 900), "SCALE_SYNTAX", OURS),
    Difference("600:-1:bicubic:1", Size(600, 900), "SCALE_SYNTAX", OURS),
    Difference("600:-1:flags=+lanczos", Size(600, 900), "SCALE_SYNTAX", OURS),
    Difference(
        "clip(st(0,ld(0)+1)*100,0,500):-1",
        Size(400, 600),
        Size(200, 300),
        "ffmpeg evaluates the first argument twice, so that nested ones take exponential time",
    ),
    Difference("sgn(st(0,ld(0)+1))*ld(0)*90:-1", Size(360, 540), Size(180, 270), "the same"),
)

# Cases of the data file whose picture we never have: here all are RGB with square pixels.
OTHER_PICTURES = {
    ("a*600:sar*600", "rgb24", "2/1"): Size(400, 600),
    ("iw*sar:ih", "rgb24", "2/1"): Size(200, 300),
    ("iw*dar:-1", "rgb24", "2/1"): Size(133, 200),
    ("hsub*100:vsub*100", "yuv420p", "unset"): Size(100, 100),
    ("ohsub*100:ovsub*100", "yuv420p", "unset"): Size(100, 100),
}


def outcome(text: str, source: Size = PORTRAIT) -> Size | str:
    """The size for `text`, or the code of the refusal."""
    try:
        return SizeExpression.parse(text).target(source)
    except BadOption as error:
        return error.code


def refusal(text: str, source: Size = PORTRAIT, largest: Size | None = None) -> BadOption:
    with pytest.raises(BadOption) as caught:
        SizeExpression.parse(text).bounded(source, largest or source.times(4))
    return caught.value


@pytest.mark.parametrize(("source", "text", "expected"), MEASURED)
def test_sizes_are_those_of_ffmpeg(source: Size, text: str, expected: Size | str) -> None:
    assert outcome(text, source) == expected


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.text[:30])
def test_differences_from_ffmpeg_are_deliberate(difference: Difference) -> None:
    assert outcome(difference.text) == difference.ours


def test_every_case_of_the_data_file_has_ffmpegs_result(shared_data: Path) -> None:
    cases = json.loads((shared_data / "ffmpeg_scale_cases.json").read_text())["cases"]
    deliberate = {difference.text: difference for difference in DIFFERENCES}
    for case in cases:
        given, text = case["input"], case["scale"]
        result = outcome(text, Size(given["w"], given["h"]))
        expected = case["expected"]
        ffmpeg = Size(expected["w"], expected["h"]) if "w" in expected else None
        if text in deliberate:
            assert (deliberate[text].ffmpeg, deliberate[text].ours) == (ffmpeg, result)
        elif (text, given["pix_fmt"], given["sar"]) in OTHER_PICTURES:
            assert result == OTHER_PICTURES[text, given["pix_fmt"], given["sar"]]
        else:
            assert (None if isinstance(result, str) else result) == ffmpeg, (given, text, result)
    assert len(cases) >= 183


def test_the_message_says_what_would_do() -> None:
    assert str(refusal("800 600")) == (
        'scale "800 600": expected "width:height", e.g. "800:600" or "800:-1"'
    )
    assert str(refusal("600:hi")).endswith('"800:-1" (the height: unknown name "hi")')
    assert "it may never end" in str(refusal("while(1,1):1"))
    assert "leave the option out" in str(refusal(""))
    assert "0x1" in str(refusal("-7:1"))


@pytest.mark.parametrize("text", ["1000:-1", "iw*5:ih", "1:9999", "1e10:1", "9^9^9^9:1", "1:1/0"])
def test_asking_for_more_than_the_largest_names_the_largest(text: str) -> None:
    error = refusal(text)
    assert error.code == "SCALE_TOO_LARGE"
    assert "at most 800x1200 for a picture of 200x300, not " in str(error)


def test_the_largest_size_itself_is_allowed() -> None:
    scale = SizeExpression.parse("iw*4:ih*4")
    assert scale.bounded(ODD, ODD.times(4)) == ODD.times(4)
    refusal("iw*4+1:ih*4")
    refusal("iw*4:ih*4+1")


@pytest.mark.parametrize("flag", [*ALGORITHMS, *MODIFIERS, "0", "4", "512", "lanczos+accurate_rnd"])
def test_flags_of_ffmpeg_change_nothing(flag: str) -> None:
    assert outcome(f"600:-1:{flag}") == outcome(f"600:-1:flags={flag}") == Size(600, 900)


HOSTILE = (
    '__import__("os"):1',
    "9^9^9^9:1",
    "while(1,1):1",
    "1:" + "9" * 190,
    "(" * 10_000,
    "(" * 190 + ":1",
    "1:" + "-" * 190,
    "clip(" * 30 + "1:1",
    "+".join("1" * 99) + ":-1/0",
    "st(0,1e308*10);" * 12 + "1:1/(1-ld(0))-1/0",
    "if(" * 60 + ":1",
    "1" * 10_240,
    "\0:1",
    "600:-1\0",
    "600:-1,movie=/etc/passwd",
    "600:-1[a];movie=x[b]",
    "600:'-1'",
    "600:\\-1",
    "٦٠٠:-1",
    "\N{FULLWIDTH DIGIT SIX}:1",
    "600:-1\r",
    "\ud800:1",
    "in__w:1",
    "gcd(-1/0,1/0):bitor(1/0,-1/0)",
    "1" + "0" * 150 + "^" + "9" * 40 + ":1",
    "0x" + "f" * 180 + ":1",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused_in_an_instant(text: str) -> None:
    started = time.thread_time()
    error = refusal(text)
    assert time.thread_time() - started < 0.05
    assert error.option == "scale"
    assert error.code in ("SCALE_SYNTAX", "SCALE_VALUE", "SCALE_TOO_LARGE")
    assert len(str(error)) <= 300
    assert str(error).isprintable()


def test_the_dearest_accepted_text_takes_an_instant() -> None:
    nested = "clip(" * 20 + "st(0,ld(0)+1)" + ",0,9)" * 20
    texts = ("1" + "+1" * 98 + ":1", "(" * 49 + "600" + ")" * 49 + ":1")
    for text in (*texts, nested[: MAX_LENGTH - 2] + ":1"):
        started = time.thread_time()
        outcome(text)
        assert time.thread_time() - started < 0.05


PIECES = [
    *("iw", "ih", "ow", "oh", "a", "PI", "-", "+", "*", "/", "^", "(", ")", ",", ";", ":", "="),
    *("1", "0", "2.5", "1e9", "1e308", "0x", "k", "dB", "inf", "nan", "Ki", "x", " ", "\n", "٣"),
    *("min(", "if(", "st(", "ld(", "clip(", "gcd(", "pow(", "mod(", "log(", "exp(", "hd720"),
    *("force_original_aspect_ratio=1", "force_divisible_by=", "s=", "w=", "h="),
]
texts = st.one_of(
    st.text(max_size=250), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
)
sides = st.integers(min_value=1, max_value=70_000)


@given(text=texts, width=sides, height=sides)
def test_nothing_but_bad_option_escapes_and_sizes_keep_the_bound(
    text: str, width: int, height: int
) -> None:
    source = Size(width, height)
    try:
        size = SizeExpression.parse(text).bounded(source, source.times(4))
    except BadOption:
        return
    assert 1 <= size.width <= 4 * width
    assert 1 <= size.height <= 4 * height
    assert size == SizeExpression.parse(text).bounded(source, source.times(4))


# ---- against the ffmpeg binary -----------------------------------------------------------------


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


class Ffmpeg:
    """What the real ffmpeg makes of many texts, with one process for a hundred of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
        self.binary: str = imageio_ffmpeg.get_ffmpeg_exe()
        if "-v9." not in self.binary:
            pytest.skip(f"the sizes are those of ffmpeg 9, this is {self.binary}")

    def run(self, arguments: Sequence[str]) -> str:
        command = [self.binary, "-hide_banner", "-nostdin", "-v", "verbose", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stderr

    def malformed(self, expressions: Sequence[tuple[str, str]]) -> set[int]:
        """Which (option, expression) cannot be parsed: a wrong command leaves the filter alive."""
        commands = ",\n".join(f"scale@x {side} '{text}'" for side, text in expressions)
        end = ",\nscale@x w iw,\nscale@x h ih"
        (self.folder / "commands").write_text(f"0 {commands}{end};\n")
        graph = "nullsrc=s=8x8:r=1:d=1,format=rgb24,sendcmd=f=commands,scale@x=iw:ih[o]"
        log = self.run(["-filter_complex", graph, "-map", "[o]", "-f", "null", "-"])
        replies = re.split(r"Processing command #(\d+) ", log)[1:]
        assert len(replies) == 2 * (len(expressions) + 2), log[-2000:]
        wrong = re.compile("Cannot parse|self-referencing|Expressions with")
        return {
            int(index)
            for index, reply in zip(replies[::2], replies[1::2], strict=True)
            if wrong.search(reply)
        }

    def sizes(self, texts: Sequence[tuple[Size, str]]) -> list[Size | None]:
        """The size of each well-formed text, None for an error; each has a graph of its own."""
        found: dict[int, Size | None] = {}
        # A graph that fails may end the process before all others have been configured.
        while waiting := [index for index in range(len(texts)) if index not in found][:100]:
            before = len(found)
            found |= self.sizes_of({index: texts[index] for index in waiting})
            assert len(found) > before, [texts[index] for index in waiting]
        return [found[index] for index in range(len(texts))]

    def sizes_of(self, texts: dict[int, tuple[Size, str]]) -> dict[int, Size | None]:
        arguments = []
        for index, (source, text) in texts.items():
            graph = f"nullsrc=s={source}:r=1:d=0,format=rgb24,scale@x{index}='{text}'[o{index}]"
            arguments += ["-filter_complex", graph]
        for index in texts:
            arguments += ["-map", f"[o{index}]", "-f", "null", "-"]
        log = self.run(arguments)
        sizes = re.findall(r"\[scale@x(\d+) @ \w+\] w:\d+ h:\d+ fmt.* -> w:(\d+) h:(\d+)", log)
        failed = re.findall(r"Failed to configure output pad on scale@x(\d+)\n", log)
        return {int(index): None for index in failed} | {
            int(index): Size(int(width), int(height)) for index, width, height in sizes
        }


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Ffmpeg:
    return Ffmpeg(tmp_path)


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
