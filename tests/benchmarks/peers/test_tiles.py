import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.tiles import Floats, in_tiles

SCALE = 2


def blurred(x: Floats) -> Floats:
    """Each pixel doubled and averaged with what lies one pixel around it."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
    rows = (padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]) / 3
    mean = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 3
    return mean.repeat(SCALE, axis=2).repeat(SCALE, axis=3)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 50), st.integers(1, 5))
def test_tiles_with_the_overlap_a_network_needs_give_the_whole(
    width: int, height: int, tile: int, overlap: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = in_tiles(blurred, pixels, SCALE, 64, 0)
    made = in_tiles(blurred, pixels, SCALE, tile, overlap)
    assert whole.computed == width * height
    assert made.computed is not None
    assert made.computed >= width * height
    assert np.abs(made.pixels.astype(int) - whole.pixels).max() <= 1
