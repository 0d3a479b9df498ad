import numpy as np
import pytest

from superres.catalogue import CATALOGUE
from superres.geometry import Box, Size
from superres.inference.tiling import (
    count_computed_pixels,
    crop_with_border,
    find_cheapest_tiles,
    make_tiles,
)

SRVGG = CATALOGUE["realesrgan.animevideo-x4"]
BICUBIC_PP = CATALOGUE["bicubic_pp.x3"]


def test_a_picture_that_fits_is_not_cut() -> None:
    assert len(find_cheapest_tiles(Size(300, 200), SRVGG, 60_000)) == 1


@pytest.mark.parametrize("size", [Size(4000, 3000), Size(20_000, 7), Size(7, 20_000)])
def test_the_cheapest_tiles_stay_near_the_limit(size: Size) -> None:
    made = find_cheapest_tiles(size, SRVGG, 200_000)
    assert made[0].outer.size.pixels <= 300_000
    assert count_computed_pixels(made) < 2.5 * max(size.pixels, 300_000)


def test_a_picture_below_the_minimum_is_filled_up_and_cut_back() -> None:
    (tile,) = make_tiles(Size(7, 5), CATALOGUE["dipnet.x4"], Size(64, 64))
    assert tile.outer.size == Size(15, 15)
    assert tile.core == Box(0, 0, 7, 5)


def test_a_network_with_a_replicated_rim_sees_beyond_every_border() -> None:
    (tile,) = make_tiles(Size(10, 6), BICUBIC_PP, Size(64, 64))
    assert tile.outer == Box(-8, -8, 18, 14)


def test_what_sticks_out_repeats_the_border() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    filled = crop_with_border(pixels, Box(-1, -1, 5, 3))[..., 0]
    assert filled.tolist() == [
        [0, 0, 1, 2, 2, 2],
        [0, 0, 1, 2, 2, 2],
        [3, 3, 4, 5, 5, 5],
        [3, 3, 4, 5, 5, 5],
    ]
