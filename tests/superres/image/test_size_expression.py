"""The `scale` option against what the real ffmpeg 9.0.2 does with the same text."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superres.errors import BadOption
from superres.geometry import Size
from superres.image.size_expression import ALGORITHMS, MAX_LENGTH, MODIFIERS, SizeExpression
from tests.superres.image.size_cases import (
    DIFFERENCES,
    HD,
    ODD,
    PORTRAIT,
    Difference,
    outcome,
    refusal,
    texts,
)

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

# Cases of the data file whose image we never have: here all are RGB with square pixels.
OTHER_PICTURES = {
    ("a*600:sar*600", "rgb24", "2/1"): Size(400, 600),
    ("iw*sar:ih", "rgb24", "2/1"): Size(200, 300),
    ("iw*dar:-1", "rgb24", "2/1"): Size(133, 200),
    ("hsub*100:vsub*100", "yuv420p", "unset"): Size(100, 100),
    ("ohsub*100:ovsub*100", "yuv420p", "unset"): Size(100, 100),
}


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
    assert "at most 800x1200 for an image of 200x300, not " in str(error)


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
