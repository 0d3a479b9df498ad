import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from superres.codecs.png.filters import AVERAGE, NONE, PAETH, PIECE, SUB, UP, filter_rows

EVERY = (NONE, SUB, UP, AVERAGE, PAETH)


def noise(height: int, length: int, seed: int) -> NDArray[np.uint8]:
    # Few levels, so that ties are frequent.
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([0, 1, 2, 127, 128, 254, 255], np.uint8), (height, length))


def predicted(kind: int, left: int, above: int, corner: int) -> int:
    """As the specification has it."""
    estimate = left + above - corner
    nearest = min((left, above, corner), key=lambda value: abs(estimate - value))
    return (0, left, above, (left + above) // 2, nearest)[kind]


def restored(rows: NDArray[np.uint8], above: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    made = np.zeros((len(rows) + 1, rows.shape[1] - 1 + pixel), np.uint8)
    made[0, pixel:] = above
    for y, row in enumerate(rows, start=1):
        for x, value in enumerate(row[1:], start=pixel):
            places = ((y, x - pixel), (y - 1, x), (y - 1, x - pixel))
            known = [int(made[place]) for place in places]
            made[y, x] = (int(value) + predicted(int(row[0]), *known)) % 256
    return made[1:, pixel:]


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1, 2, 3, 4, 6, 8]),
    st.sampled_from([(kind,) for kind in EVERY] + [EVERY, (SUB, UP)]),
    st.integers(0, 2**32),
)
def test_every_filter_is_undone_by_the_specification(
    height: int, width: int, pixel: int, allowed: tuple[int, ...], seed: int
) -> None:
    raw = noise(height, width * pixel, seed)
    above = noise(1, width * pixel, seed + 1)
    rows = np.concatenate(list(filter_rows(raw, above, pixel, allowed)))
    assert set(rows[:, 0].tolist()) <= set(allowed)
    assert np.array_equal(restored(rows, above[0], pixel), raw)


@pytest.mark.parametrize("kind", EVERY)
def test_pieces_do_not_show(kind: int) -> None:
    raw = noise(400, 3000, kind)
    above = noise(1, 3000, 9)
    pieces = list(filter_rows(raw, above, 3, (kind,)))
    assert len(pieces) > 5
    assert all(piece.nbytes <= PIECE + 400 for piece in pieces)
    whole = np.concatenate(pieces)
    middle = list(filter_rows(raw[200:210], raw[199:200], 3, (kind,)))
    assert np.array_equal(whole[200:210], np.concatenate(middle))


def test_each_row_has_the_filter_that_suits_it() -> None:
    steps = np.arange(0, 240, 2, dtype=np.uint8)
    raw = np.stack([steps, steps, steps + np.uint8(7), np.zeros_like(steps)])
    rows = np.concatenate(list(filter_rows(raw, np.zeros((1, 120), np.uint8), 1, EVERY)))
    assert rows[:, 0].tolist()[1] == UP
    assert rows[0, 0] in (SUB, PAETH)
    assert rows[3, 0] == NONE
