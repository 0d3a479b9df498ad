import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream


def frame(height: int, transparent: bool = False, width: int = 5) -> Frame:
    levels = np.random.default_rng(height).integers(0, 256, (height, width, 4), np.uint8)
    return Frame(levels[..., :3], levels[..., 3] if transparent else None)


def cut(whole: Frame, heights: list[int]) -> list[Frame]:
    tops = np.cumsum([0, *heights])
    return [whole.band(top, top + height) for top, height in zip(tops, heights, strict=False)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 12), st.booleans())
def test_bands_have_their_height_and_all_the_rows(
    heights: list[int], rows: int, transparent: bool
) -> None:
    whole = frame(sum(heights), transparent)
    scroll = FrameStream(whole.size, whole.channels, 8, iter(cut(whole, heights)))
    bands = list(scroll.bands(rows))
    assert all(band.size.height == rows for band in bands[:-1])
    assert 0 < bands[-1].size.height <= rows
    made = np.concatenate([band.rows(0, rows) for band in bands])
    assert np.array_equal(made, whole.rows(0, whole.size.height))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans())
def test_the_whole_is_what_the_strips_were_cut_from(heights: list[int], transparent: bool) -> None:
    whole = frame(sum(heights), transparent)
    made = FrameStream(whole.size, whole.channels, 8, iter(cut(whole, heights)), 40).whole()
    assert np.array_equal(made.rows(0, 99), whole.rows(0, 99))
    assert made.channels == whole.channels


def test_a_whole_frame_is_not_copied() -> None:
    whole = frame(20, transparent=True)
    assert FrameStream.of(whole).whole() is whole
    assert all(np.shares_memory(b.colour, whole.colour) for b in FrameStream.of(whole).bands(6))


def test_whoever_makes_the_strips_comes_to_the_end() -> None:
    ended = False

    def made() -> object:
        nonlocal ended
        yield frame(4)
        ended = True

    FrameStream(Size(5, 4), 3, 8, made()).whole()
    assert ended


def test_bands_are_given_as_soon_as_they_are_full() -> None:
    def made() -> object:
        yield frame(4)
        pytest.fail("taken too early")

    assert next(FrameStream(Size(5, 99), 3, 8, made()).bands(3)).size.height == 3
