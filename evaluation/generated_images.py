"""Images with exact originals that need no data set: printed text, and drawings of flat areas."""

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from evaluation.protocol import Pixels

__all__ = ["draw_shapes", "draw_text"]

_SIDE = 480
_OVERSAMPLING = 4
_TEXT = """Resolution is the detail an image holds. The quick brown fox jumps over 13 lazy dogs;
Sphinx of black quartz, judge my vow! Invoice 2048-B: 17 items, 1 563.90 in total."""


def draw_text(seed: int) -> Pixels:
    """Draw a page of text in several sizes, dark on light or light on dark.

    Args:
        seed: Chooses words, sizes and colours.

    Returns:
        (480, 480, 3), 8-bit RGB.
    """
    random = np.random.default_rng(seed)
    dark, light = random.integers(0, 70, 3), random.integers(200, 256, 3)
    paper, ink = (light, dark) if seed % 2 == 0 else (dark, light)
    page = PillowImage.new("RGB", (_SIDE, _SIDE), _as_colour(paper))
    draw = ImageDraw.Draw(page)
    top = 8
    while top < _SIDE:
        size = int(random.choice((14, 18, 24, 36)))
        line = " ".join(random.permutation(_TEXT.split())[:24])
        draw.text((10, top), line, fill=_as_colour(ink), font=ImageFont.load_default(size))
        top += round(size * 1.4)
    return np.asarray(page)


def draw_shapes(seed: int) -> Pixels:
    """Draw flat areas with dark outlines, as comics and anime have them.

    Args:
        seed: Chooses shapes and colours.

    Returns:
        (480, 480, 3), 8-bit RGB, its edges smooth.
    """
    random = np.random.default_rng(seed)
    side = _SIDE * _OVERSAMPLING
    sheet = PillowImage.new("RGB", (side, side), _as_colour(random.integers(140, 256, 3)))
    draw = ImageDraw.Draw(sheet)
    for _ in range(24):
        x, y = random.integers(0, side, 2)
        width, height = random.integers(side // 16, side // 3, 2)
        corner = (int(x), int(y), int(x + width), int(y + height))
        fill = _as_colour(random.integers(30, 256, 3))
        line = int(random.integers(1, 4)) * _OVERSAMPLING
        shape = random.choice(("ellipse", "arc", "polygon"))
        if shape == "ellipse":
            draw.ellipse(corner, fill, "black", line)
        elif shape == "arc":
            draw.arc(corner, 0, int(random.integers(90, 360)), "black", line)
        else:
            corners = random.integers(0, (width, height), (5, 2)) + np.array((x, y))
            points = [(int(across), int(down)) for across, down in corners]
            draw.polygon(points, fill, "black", line)
    return np.asarray(sheet.resize((_SIDE, _SIDE), PillowImage.Resampling.BOX))


def _as_colour(values: "np.typing.NDArray[np.int64]") -> tuple[int, int, int]:
    red, green, blue = map(int, values)
    return red, green, blue
