from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from superres.geometry import Size, round_up, split_axis, split_into_tiles

lengths = st.integers(1, 400)
edges = st.integers(1, 200)
overlaps = st.integers(0, 40)
aligns = st.sampled_from([1, 2, 6, 8])


@given(lengths, edges, overlaps, aligns, st.booleans())
def test_spans_partition_the_axis_and_keep_their_overlap(
    length: int, edge: int, overlap: int, align: int, with_rim: bool
) -> None:
    rim = round_up(overlap, align) if with_rim else 0
    common, made = split_axis(length, edge, overlap, align, rim)
    assert made[0].first == 0
    assert made[-1].last == length
    assert all(a.last == b.first for a, b in pairwise(made))
    assert common % align == 0
    for span in made:
        assert (span.start + rim) % align == 0
        assert span.first - span.start >= overlap or span.start == -rim
        assert span.start + common - span.last >= overlap or span.start + common >= length + rim


@given(lengths, edges, overlaps)
def test_tiles_are_no_larger_than_asked_unless_their_overlaps_are(
    length: int, edge: int, overlap: int
) -> None:
    common, _ = split_axis(length, edge, overlap, 1, 0)
    assert common <= max(edge, 2 * overlap + 1)


@given(st.integers(1, 120), st.integers(1, 120), st.integers(8, 200), st.integers(0, 20))
def test_tiles_partition_the_picture(width: int, height: int, edge: int, overlap: int) -> None:
    made = split_into_tiles(Size(width, height), Size(edge, edge), overlap)
    assert sum(tile.core.size.pixels for tile in made) == width * height
    assert len({tile.outer.size for tile in made}) == 1


def test_equal_tiles_waste_less_than_a_ragged_end() -> None:
    assert split_axis(500, 128, 10, 1, 0)[0] == 116
