from dataclasses import replace

import pytest

from superres.catalogue import CATALOGUE
from superres.geometry import Size
from superres.inference.planning import Plan, plan_cheapest, plan_for_tile_size, plan_rows
from superres.model_spec import NetworkSpec

RRDB = CATALOGUE["realesrgan.x4plus"]
SRVGG = CATALOGUE["realesrgan.animevideo-x4"]
DIPNET = CATALOGUE["dipnet.x4"]
SWINIR = CATALOGUE["swinir.real-x4"]
MEMORY = 512 * 2**20


def covers(plan: Plan, size: Size) -> bool:
    """Whether the cores partition an image of `size`."""
    cores = [tile.core for tile in plan.tiles]
    within = all(c.left >= 0 and c.top >= 0 for c in cores)
    within = within and all(c.right <= size.width and c.bottom <= size.height for c in cores)
    return within and sum(core.size.pixels for core in cores) == size.pixels


@pytest.mark.parametrize("spec", [RRDB, SRVGG, DIPNET, SWINIR], ids=lambda spec: spec.name)
@pytest.mark.parametrize("size", [Size(1, 1), Size(640, 480), Size(4000, 3000), Size(9, 5000)])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_every_plan_covers_its_picture(spec: NetworkSpec, size: Size, on_cpu: bool) -> None:
    plan = plan_cheapest(size, spec, MEMORY, 1.0, on_cpu)
    assert covers(plan, size)
    assert plan.computed >= size.pixels


def test_on_a_cpu_rows_are_streamed_and_nothing_is_computed_twice() -> None:
    plan = plan_cheapest(Size(640, 480), RRDB, MEMORY, 1.0, on_cpu=True)
    assert plan.rows
    assert plan.computed == 640 * 480


def test_a_small_picture_is_computed_whole() -> None:
    plan = plan_cheapest(Size(64, 64), RRDB, MEMORY, 1.0, on_cpu=True)
    assert (plan.rows, len(plan.tiles)) == (0, 1)


def test_elsewhere_the_whole_picture_is_preferred_where_it_fits() -> None:
    plan = plan_cheapest(Size(512, 512), RRDB, 10 * 2**30, 0.5, on_cpu=False)
    assert (plan.rows, len(plan.tiles)) == (0, 1)


def test_elsewhere_rows_are_streamed_where_tiles_would_waste_too_much() -> None:
    wide = Size(3000, 3000)
    tiles = plan_cheapest(wide, replace(RRDB, stream=None), 2**30, 0.5, on_cpu=False)
    plan = plan_cheapest(wide, RRDB, 2**30, 0.5, on_cpu=False)
    assert plan.rows
    assert plan.computed * 1.3 <= tiles.computed


def test_a_width_that_does_not_fit_is_cut_into_panels_that_overlap() -> None:
    plan = plan_cheapest(Size(6000, 300), RRDB, MEMORY, 1.0, on_cpu=True)
    assert plan.rows and len(plan.tiles) > 1
    assert plan.tiles[0].outer.right - plan.tiles[0].core.right >= RRDB.overlap


def test_a_network_of_the_whole_picture_is_not_cut_into_panels() -> None:
    held = plan_cheapest(Size(1000, 900), DIPNET, MEMORY, 1.0, on_cpu=True)
    assert held.rows and len(held.tiles) == 1
    too_large = plan_cheapest(Size(4000, 3000), DIPNET, MEMORY, 1.0, on_cpu=True)
    assert not too_large.rows and len(too_large.tiles) > 1


def test_a_tile_that_was_asked_for_is_obeyed() -> None:
    plan = plan_for_tile_size(Size(640, 480), RRDB, 128, 10)
    assert not plan.rows
    assert max(plan.tiles[0].outer.size) <= 128


@pytest.mark.parametrize("spec", [RRDB, SRVGG, SWINIR], ids=lambda spec: spec.name)
@pytest.mark.parametrize("size", [Size(6000, 300), Size(2000, 3000)])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_an_overlap_alone_is_obeyed(spec: NetworkSpec, size: Size, on_cpu: bool) -> None:
    narrow, wide = (plan_cheapest(size, spec, MEMORY, 1.0, on_cpu, n) for n in (8, 200))
    assert (narrow.overlap, wide.overlap) == (8, 200)
    assert covers(narrow, size) and covers(wide, size)
    if bool(narrow.rows) == bool(wide.rows) and len(wide.tiles) > 1:
        assert narrow.computed < wide.computed
    for plan in (narrow, wide):
        for tile in plan.tiles:
            assert tile.core.left - tile.outer.left >= plan.overlap or tile.core.left == 0


def test_rows_come_in_multiples_of_what_the_network_takes() -> None:
    plan = plan_rows(Size(641, 99), CATALOGUE["realesrgan.x2plus"], 1e9, 3_001)
    assert plan.rows % 2 == 0
    assert plan.tiles[0].outer.size == Size(642, 100)
