"""SizeExpression: the size that FFmpeg's `scale` filter gives an image, from the same text.

Follows FFmpeg 9.0.2 for RGB images with square pixels. Refused although FFmpeg takes them: the
empty text, quoting, control characters, what is longer than MAX_LENGTH or deeper than 50 brackets,
functions without end or with another value each time, and values beyond 32 bits.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

from contract.problem import quote
from superres.errors import BadOption
from superres.geometry import Size
from superres.image.ffmpeg_eval import CELLS, INT32, Expression, ExpressionError, cast

MAX_LENGTH = 200
FORM = '"width:height", e.g. "800:600" or "800:-1"'

_POSITIONS = ("w", "h", "flags")
_ALIASES = {"width": "w", "height": "h", "s": "size"}
_OWN = {"w": ("ow", "out_w"), "h": ("oh", "out_h")}
_AXES = {"w": "width", "h": "height"}
INPUT = {"iw": "width", "in_w": "width", "ih": "height", "in_h": "height"}
ONES = ("sar", "hsub", "vsub", "ohsub", "ovsub")  # square pixels, no chroma subsampling
VARIABLES = frozenset((*INPUT, *_OWN["w"], *_OWN["h"], "a", "dar", *ONES))
SIZE = re.compile(r"([0-9]+)x([0-9]+)")
_NAMES = """
    ntsc=720x480 pal=720x576 qntsc=352x240 qpal=352x288 sntsc=640x480 spal=768x576 film=352x240
    ntsc-film=352x240 sqcif=128x96 qcif=176x144 cif=352x288 4cif=704x576 16cif=1408x1152
    qqvga=160x120 qvga=320x240 vga=640x480 svga=800x600 xga=1024x768 uxga=1600x1200 qxga=2048x1536
    sxga=1280x1024 qsxga=2560x2048 hsxga=5120x4096 wvga=852x480 wxga=1366x768 wsxga=1600x1024
    wuxga=1920x1200 woxga=2560x1600 wqhd=2560x1440 wqsxga=3200x2048 wquxga=3840x2400
    whsxga=6400x4096 whuxga=7680x4800 cga=320x200 ega=640x350 hd480=852x480 hd720=1280x720
    hd1080=1920x1080 quadhd=2560x1440 2k=2048x1080 2kdci=2048x1080 2kflat=1998x1080
    2kscope=2048x858 4k=4096x2160 4kdci=4096x2160 4kflat=3996x2160 4kscope=4096x1716 nhd=640x360
    hqvga=240x160 wqvga=400x240 fwqvga=432x240 hvga=480x320 qhd=960x540 uhd2160=3840x2160
    uhd4320=7680x4320
"""
NAMED_SIZES: Mapping[str, str] = dict(re.findall(r"(\S+)=(\S+)", _NAMES))

# What has no bearing on the size is read, checked and ignored: the resampling is ours.
_ASPECTS = {"0": 0, "disable": 0, "1": 1, "decrease": 1, "2": 2, "increase": 2}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "eval": ("init", "frame"),
    "reset_sar": ("0", "1"),
    "force_original_aspect_ratio": tuple(_ASPECTS),
    "force_divisible_by": tuple(str(count) for count in range(1, 257)),
}
# The bits of libswscale's algorithms are their places in this order.
ALGORITHMS = (
    *("fast_bilinear", "bilinear", "bicubic", "experimental", "neighbor", "area"),
    *("bicublin", "gauss", "sinc", "lanczos", "spline"),
)
MODIFIERS = (
    *("print_info", "accurate_rnd", "full_chroma_int", "full_chroma_inp", "bitexact"),
    *("error_diffusion", "unstable", "strict"),
)


@dataclass(frozen=True)
class SizeExpression:
    """A checked `scale` option: what size an image is to have, given its own."""

    text: str
    width: Expression
    height: Expression
    aspect: int  # of ASPECTS
    divisible_by: int

    @classmethod
    def parse(cls, text: str) -> "SizeExpression":
        """Return the expression in `text`. Raises BadOption with code SCALE_SYNTAX."""
        _check_characters(text)
        options = _split_size(text, _options(text))
        for name, allowed in _CHOICES.items():
            if name in options and options[name] not in allowed:
                span = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 9 else ", ".join(allowed)
                raise _syntax(text, f"{name} is one of {span}, not {quote(options[name], 20)}")
        _check_flags(text, options.get("flags", "0"))
        return cls(
            text=text,
            width=_side(text, "w", options["w"]),
            height=_side(text, "h", options["h"]),
            aspect=_ASPECTS[options.get("force_original_aspect_ratio", "0")],
            divisible_by=int(options.get("force_divisible_by", "1")),
        )

    def target(self, source: Size) -> Size:
        """Return the size that FFmpeg gives an image of size `source`.

        Raises BadOption with code SCALE_VALUE where a side is not a positive number of pixels, with
        SCALE_TOO_LARGE beyond what FFmpeg can hold: about 2**28 pixels.
        """
        limit = "2**28 pixels"
        try:
            size = self._size(source)
        except OverflowError as error:
            raise self._too_large(limit, error) from error
        # av_image_check_size and vf_scale's "too big": 8 bytes a pixel, sides with a margin of 128.
        held = 8 * (size.width + 128) * (size.height + 128)
        if max(held, size.width * source.height, size.height * source.width) > INT32[1]:
            raise self._too_large(limit, size)
        return size

    def bounded(self, source: Size, largest: Size) -> Size:
        """Return the size for an image of size `source`, in neither direction beyond `largest`.

        Raises BadOption with code SCALE_TOO_LARGE, which names `largest`, or SCALE_VALUE.
        """
        limit = f"{largest} for an image of {source}"
        try:
            size = self._size(source)
        except OverflowError as error:
            raise self._too_large(limit, error) from error
        if size.width > largest.width or size.height > largest.height:
            raise self._too_large(limit, size)
        return size

    def _too_large(self, limit: str, asked: object) -> BadOption:
        allowed = f"at most {limit}, not {asked}"
        return BadOption("scale", self.text, allowed, code="SCALE_TOO_LARGE")

    def _size(self, source: Size) -> Size:
        """Return the positive size, however large; OverflowError where a side is beyond 32 bits."""
        size = _force_aspect(_derive_side(self._asked(source), source), source, self)
        if min(size) < 1:
            allowed = f"a width and a height of at least 1, not {size} for an image of {source}"
            raise BadOption("scale", self.text, allowed, code="SCALE_VALUE")
        return size

    def _asked(self, source: Size) -> Size:
        """Return what the two expressions say, 0 read as the input's side; negative sides are
        rules.
        """
        names = _variables(source)
        memory = [0.0] * CELLS  # st() in the width lives on from its first pass to its second
        # First with an unknown output size: its result only matters to a height that asks for it.
        first = cast(self.width.value(names, memory)) or source.width
        names |= dict.fromkeys(_OWN["w"], float(first))
        height = self._whole("height", self.height.value(names, [0.0] * CELLS)) or source.height
        names |= dict.fromkeys(_OWN["h"], float(height))
        width = self._whole("width", self.width.value(names, memory)) or source.width
        return Size(width, height)

    def _whole(self, axis: str, value: float) -> int:
        """Return `value` without its fraction. Raises OverflowError above 32 bits,
        BadOption below.
        """
        if value > INT32[1]:
            raise OverflowError(f"a {axis} of {value:.6g}")
        if not value >= INT32[0]:
            allowed = f"a {axis} that is a number of at most 32 bits, not {value:.6g}"
            raise BadOption("scale", self.text, allowed, code="SCALE_VALUE")
        return int(value)


def _syntax(text: str, reason: str = "") -> BadOption:
    allowed = f"{FORM} ({reason})" if reason else FORM
    return BadOption("scale", text, allowed, code="SCALE_SYNTAX")


def _check_characters(text: str) -> None:
    """Raise BadOption for what no expression has; after it `text` is short and printable ASCII."""
    if len(text) > MAX_LENGTH:
        raise _syntax(text, f"at most {MAX_LENGTH} characters, not {len(text)}")
    if not text.strip():
        raise _syntax(text, "leave the option out for the largest size, 0:0 is the input's own")
    for character in text:
        if not " " <= character <= "~" or character in "'\\":
            raise _syntax(text, f"{character!a} is not allowed in it")


def _options(text: str) -> dict[str, str]:
    """Return the parts between colons by name: those in POSITIONS, then key=value; the last one
    counts.
    """
    options: dict[str, str] = {}
    keyed = False
    for index, part in enumerate(text.split(":")):
        key, equals, value = part.partition("=")
        keyed = keyed or bool(equals)
        if keyed != bool(equals) or (not keyed and index >= len(_POSITIONS)):
            raise _syntax(text, f"{quote(part, 20)} has no meaning in this place")
        name = _ALIASES.get(key.strip(), key.strip()) if keyed else _POSITIONS[index]
        if name not in (*_POSITIONS, "size", *_CHOICES):
            raise _syntax(text, f"unknown key {quote(name, 20)}")
        options[name] = (value if keyed else part).strip()
    return options


def _split_size(text: str, options: dict[str, str]) -> dict[str, str]:
    """Return `options` with "w" and "h", perhaps from a size; a height alone keeps the width."""
    if "size" in options and ("w" in options or "h" in options):
        raise _syntax(text, "either a size or width and height")
    if "size" in options or "h" not in options:
        size = options.get("size", options.get("w", ""))
        match = SIZE.fullmatch(NAMED_SIZES.get(size, size))
        if not match or 0 in (int(match[1]), int(match[2])):
            raise _syntax(text)
        return options | {"w": match[1], "h": match[2]}
    return {"w": "iw"} | options


def _side(text: str, name: str, part: str) -> Expression:
    """Return the expression for one side. Raises BadOption."""
    try:
        expression = Expression.parse(part, VARIABLES)
    except ExpressionError as error:
        raise _syntax(text, f"the {_AXES[name]}: {error}") from error
    if own := expression.names.intersection(_OWN[name]):
        raise _syntax(text, f"the {_AXES[name]} cannot depend on itself, {min(own)}")
    return expression


def _check_flags(text: str, flags: str) -> None:
    """Raise BadOption unless `flags` are FFmpeg's, with one scaling algorithm at most."""
    bits = 0
    for flag in flags.split("+"):
        if flag in ALGORITHMS:
            bits |= 1 << ALGORITHMS.index(flag)
        elif flag.isdigit():
            bits |= int(flag)
        elif flag not in MODIFIERS:
            raise _syntax(text, f"unknown flag {quote(flag, 20)}")
    if (bits & ((1 << len(ALGORITHMS)) - 1)).bit_count() > 1:
        raise _syntax(text, f"one scaling algorithm, not {quote(flags, 20)}")


def _variables(source: Size) -> dict[str, float]:
    """Return the values of VARIABLES before anything is known of the output."""
    known = {name: float(getattr(source, side)) for name, side in INPUT.items()}
    unknown = dict.fromkeys((*_OWN["w"], *_OWN["h"]), nan)
    ratio = source.width / source.height
    return dict.fromkeys(ONES, 1.0) | unknown | known | {"a": ratio, "dar": ratio}


def _derive_side(asked: Size, source: Size) -> Size:
    """Return `asked` with a side of -n made the multiple of n nearest to the input's ratio."""
    width, height = asked
    if width < 0 and height < 0:
        return source
    if width < 0:
        return Size(_nearest(height * source.width, source.height, -width), height)
    if height < 0:
        return Size(width, _nearest(width * source.height, source.width, -height))
    return asked


def _force_aspect(size: Size, source: Size, scale: SizeExpression) -> Size:
    """Return `size` shrunk or grown to the input's ratio and to multiples, where `scale` forces
    that.
    """
    if not scale.aspect:
        return size
    step, limit = scale.divisible_by, min if scale.aspect == 1 else max
    width = limit(size.width, _nearest(size.height * source.width, source.height, step))
    height = limit(size.height, _nearest(size.width * source.height, source.width, step))
    extra = 0 if scale.aspect == 1 else step - 1
    return Size((width + extra) // step * step, (height + extra) // step * step)


def _nearest(dividend: int, divisor: int, multiple: int) -> int:
    """Return the multiple of `multiple` nearest to the quotient, halves up, as av_rescale
    rounds.
    """
    divisor *= multiple
    return (dividend + divisor // 2) // divisor * multiple
