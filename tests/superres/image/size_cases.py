import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from superres.errors import BadOption
from superres.geometry import Size
from superres.image.size_expression import SizeExpression

PORTRAIT = Size(200, 300)
ODD = Size(201, 301)
HD = Size(1920, 1080)


class Difference(NamedTuple):
    """A text that ffmpeg and we read differently, for an image of 200x300, and why."""

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
    Difference("n*600+600:-1:eval=frame", Size(600, 900), "SCALE_SYNTAX", "images have no number"),
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


PIECES = [
    *("iw", "ih", "ow", "oh", "a", "PI", "-", "+", "*", "/", "^", "(", ")", ",", ";", ":", "="),
    *("1", "0", "2.5", "1e9", "1e308", "0x", "k", "dB", "inf", "nan", "Ki", "x", " ", "\n", "٣"),
    *("min(", "if(", "st(", "ld(", "clip(", "gcd(", "pow(", "mod(", "log(", "exp(", "hd720"),
    *("force_original_aspect_ratio=1", "force_divisible_by=", "s=", "w=", "h="),
]
texts = st.one_of(
    st.text(max_size=250), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
)


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
