from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream
from superres.image.resample import needs_premultiplication, resize_stream
from tests.superres.codecs.png.noise import DEPTHS, SIDES, noise


def resize(frame: Frame, size: Size) -> Frame:
    return resize_stream(FrameStream.of(frame), size, needs_premultiplication(frame)).whole()


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.booleans(), DEPTHS)
def test_resizing_gives_exactly_the_size_and_keeps_the_rest(
    w: int, h: int, to_w: int, to_h: int, channels: int, transparent: bool, depth: type
) -> None:
    alpha = noise(h, w, 1, depth, seed=1)[..., 0] if transparent else None
    frame = Frame(noise(h, w, channels, depth), alpha, 40)
    made = resize(frame, Size(to_w, to_h))
    assert made.size == (to_w, to_h)
    assert (made.channels, made.bit_depth, made.milliseconds) == (
        frame.channels,
        frame.bit_depth,
        40,
    )
    assert made.colour.flags.c_contiguous


@given(
    st.tuples(*[st.integers(0, 65535)] * 3),
    st.integers(0, 2**32),
    SIDES,
    SIDES,
    SIDES,
    SIDES,
    DEPTHS,
)
def test_a_flat_colour_stays_that_colour_under_any_alpha(
    colour: tuple[int, int, int], seed: int, w: int, h: int, to_w: int, to_h: int, depth: type
) -> None:
    levels = (np.array(colour) >> (8 if depth is np.uint8 else 0)).astype(depth)
    plane = np.broadcast_to(levels, (h, w, 3)).copy()
    alpha = noise(h, w, 1, depth, seed)[..., 0]
    opaque = resize(Frame(plane), Size(to_w, to_h))
    assert np.abs(opaque.colour.astype(int) - levels.astype(int)).max() <= 1
    veiled = resize(Frame(plane, alpha), Size(to_w, to_h))
    assert veiled.alpha is not None
    seen = veiled.colour[veiled.alpha > 0].astype(int)
    assert np.abs(seen - levels.astype(int)).max(initial=0) <= 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [Size(8, 8), Size(40, 36), Size(3, 30)])
def test_colour_under_alpha_0_never_bleeds(depth: type, size: Size) -> None:
    white = np.iinfo(depth).max
    colour = np.zeros((16, 16, 3), depth)
    colour[:, :8] = (white, 0, 0)
    colour[:, 8:] = (0, white, 0)
    alpha = np.zeros((16, 16), depth)
    alpha[:, :8] = white
    made = resize(Frame(colour, alpha), size)
    assert made.alpha is not None
    seen = made.colour[made.alpha > 0]
    assert (seen[:, 1] == 0).all()
    assert (seen[:, 0] >= white - 1).all()


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_alpha_stays_and_leaves_colour_as_it_would_be_without(value: int) -> None:
    colour = noise(13, 17, 3)
    made = resize(Frame(colour, np.full((13, 17), value, np.uint8)), Size(30, 9))
    assert made.alpha is not None
    assert (made.alpha == value).all()
    assert np.array_equal(made.colour, resize(Frame(colour), Size(30, 9)).colour)


def test_16_bits_are_resized_at_16_bits() -> None:
    ramp = np.linspace(0, 65535, 300).astype(np.uint16)
    frame = Frame(np.broadcast_to(ramp, (4, 300))[:, :, None].copy())
    made = resize(frame, Size(700, 4)).colour[0, 20:-20, 0]
    assert len(np.unique(made)) > 600


def test_a_dark_16_bit_picture_stays_as_dark() -> None:
    frame = Frame(noise(20, 20, 3, np.uint16) // 330)
    made = resize(frame, Size(10, 10)).colour
    assert abs(float(made.mean()) - float(frame.colour.mean())) < 2


def test_resizing_is_antialiased() -> None:
    checker = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    small = resize(Frame(checker), Size(16, 16)).colour
    assert np.abs(small.astype(int) - 127).max() <= 3


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]))
def test_resizing_is_pillows_lanczos_horizontally_first(
    w: int, h: int, to_w: int, to_h: int, channels: int
) -> None:
    colour = noise(h, w, channels)
    picture = Pillow.fromarray(colour if channels == 3 else colour[..., 0])
    for size in ((to_w, h), (to_w, to_h)):
        picture = picture.resize(size, Pillow.Resampling.LANCZOS)
    made = resize(Frame(colour), Size(to_w, to_h)).colour
    assert np.array_equal(made, np.asarray(picture).reshape(made.shape))


def test_resizing_a_photo_is_pillows_lanczos() -> None:
    y, x = np.mgrid[:120, :160]
    colour = np.stack([x + 40, y + 60, (x + y) // 2 + 30], axis=2).astype(np.uint8)
    expected = Pillow.fromarray(colour).resize((113, 71), Pillow.Resampling.LANCZOS)
    made = resize(Frame(colour), Size(113, 71)).colour
    assert np.abs(made.astype(int) - np.asarray(expected)).max() <= 1


def test_the_same_size_is_the_same_frame() -> None:
    frame = Frame(noise(3, 4, 3))
    assert resize(frame, frame.size) is frame


# A few rows at a time


def strips(frame: Frame, cuts: list[int]) -> FrameStream:
    edges = sorted({0, frame.size.height, *(cut % frame.size.height for cut in cuts)})
    parts = [frame.band(top, bottom) for top, bottom in pairwise(edges)]
    return FrameStream(frame.size, frame.channels, frame.bit_depth, iter(parts))


@given(
    st.integers(1, 90),
    st.integers(1, 20),
    st.integers(1, 120),
    st.integers(1, 30),
    st.sampled_from([1, 3]),
    st.sampled_from([None, "some", "all"]),
    DEPTHS,
    st.lists(st.integers(0, 100), max_size=6),
)
def test_a_picture_in_strips_is_resized_as_the_whole(
    h: int,
    w: int,
    to_h: int,
    to_w: int,
    channels: int,
    opacity: str | None,
    depth: type,
    cuts: list[int],
) -> None:
    alpha = None if opacity is None else noise(h, w, 1, depth, 1)[..., 0]
    if alpha is not None and opacity == "all":
        alpha = np.full_like(alpha, np.iinfo(depth).max)
    frame = Frame(noise(h, w, channels, depth), alpha)
    size = Size(to_w, to_h)
    expected = resize(frame, size).rows(0, to_h)
    made = resize_stream(strips(frame, cuts), size, needs_premultiplication(frame))
    heights = 0
    rows = []
    for strip in made.strips:
        assert strip.size.width == to_w
        heights += strip.size.height
        rows.append(strip.rows(0, strip.size.height))
    assert heights == to_h
    step = 1 if depth is np.uint8 else 257
    assert np.abs(np.concatenate(rows).astype(int) - expected).max() <= step


@pytest.mark.parametrize("height", [40, 900, 3000])
def test_rows_are_made_before_the_last_have_come(height: int) -> None:
    frame = Frame(noise(1500, 700, 3))
    taken = 0

    def counted() -> object:
        nonlocal taken
        for top in range(0, 1500, 50):
            taken += 1
            yield frame.band(top, top + 50)

    made = resize_stream(
        FrameStream(frame.size, 3, 8, counted()), Size(350, height), weighted=False
    )
    next(iter(made.strips))
    assert taken <= 16
