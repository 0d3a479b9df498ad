"""The cost model: plausible for every model, monotonic, and above what a real request takes."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from superres.catalogue import CATALOGUE
from superres.codecs.decode import READERS
from superres.codecs.encode import FORMATS
from superres.codecs.probe import TENSOR, Dimensions
from superres.estimation.cost import (
    DECODING,
    ENCODING,
    ExecutionTarget,
    Workload,
    estimate_network,
    estimate_request,
    find_fitting_size,
    measure_tile_grid,
    sum_host_bytes,
)
from superres.geometry import Size
from superres.inference import planning
from superres.model_spec import NetworkSpec

MODEL = CATALOGUE["bicubic_pp.x3"]
CPU = ExecutionTarget(MODEL.cpu_bytes)
MEBIBYTE = 2**20


def order(
    width: int = 1200,
    height: int = 800,
    spec: NetworkSpec = MODEL,
    place: ExecutionTarget = CPU,
    **fields: Any,
) -> Workload:
    image = Dimensions("JPEG", Size(width, height), 3)
    network = partial(estimate_network, spec=spec, target=place)
    return replace(Workload(width * height // 4, image, "png", spec.scale, network), **fields)


def needed(wanted: Workload, place: ExecutionTarget = CPU) -> int:
    return sum_host_bytes(estimate_request(wanted), place)


def test_every_format_has_its_figures() -> None:
    assert DECODING.keys() == {*READERS, TENSOR}
    assert ENCODING.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_takes_memory_and_time_that_grow_with_the_picture(name: str) -> None:
    spec = CATALOGUE[name]
    place = ExecutionTarget(spec.cpu_bytes)
    small, large = (estimate_request(order(n, n, spec, place)) for n in (64, 900))
    assert 0 < small.seconds < large.seconds
    assert 0 < sum_host_bytes(small, place) < sum_host_bytes(large, place)
    assert small.device_bytes >= 0 and large.model_seconds < large.seconds


@pytest.mark.parametrize(
    "more",
    [
        {"image": Dimensions("JPEG", Size(2400, 800), 3)},
        {"image": Dimensions("PNG", Size(1200, 800), 3, 16)},
        {"image": Dimensions("PNG", Size(1200, 800), 4)},
        {"image": Dimensions("GIF", Size(1200, 800), 4, 8, 5)},
        {"encoded": 50_000_000},
        {"format": "webp"},
        {"format": "bmp"},
        {"format": "avif"},
        {"needs_whole_result": True},
        {"copies": 4},
    ],
    ids=str,
)
def test_what_is_more_takes_more(more: dict[str, Any]) -> None:
    assert needed(order(**more)) > needed(order())


def test_a_smaller_answer_takes_less_memory_and_time() -> None:
    small = order(format="webp", target=Size(600, 400))
    assert needed(small) < needed(order(format="webp"))
    assert estimate_request(small).seconds < estimate_request(order(format="webp")).seconds


def test_frames_that_the_answer_cannot_hold_are_not_enlarged() -> None:
    frames = Dimensions("GIF", Size(300, 200), 4, 8, 20)
    still, moving = (estimate_request(order(image=frames, format=name)) for name in ("jpeg", "png"))
    assert moving.model_seconds == pytest.approx(20 * still.model_seconds)


def test_strips_keep_most_of_a_large_result_out_of_memory() -> None:
    result = 3 * 9 * 4000 * 3000
    assert needed(order(4000, 3000, format="jpeg")) < 0.75 * result + CPU.memory
    assert needed(order(4000, 3000, format="bmp")) > 1.5 * result


def test_activations_on_a_gpu_are_not_the_hosts_and_half_as_large_in_half_precision() -> None:
    spec = CATALOGUE["swinir.lightweight-x2"]
    on_cpu, on_gpu, half = (
        estimate_request(order(300, 200, spec, place))
        for place in (
            ExecutionTarget(2**30),
            ExecutionTarget(2**30, False),
            ExecutionTarget(2**30, False, True),
        )
    )
    assert on_gpu.device_bytes == on_cpu.device_bytes == 2 * half.device_bytes
    assert sum_host_bytes(on_gpu, ExecutionTarget(2**30, False)) == on_gpu.host_bytes
    assert on_gpu.model_seconds < on_cpu.model_seconds


@pytest.mark.parametrize("name", ["bicubic_pp.x3", "swinir.lightweight-x2", "realesrgan.x4plus"])
@pytest.mark.parametrize("tile", [16, 50, 64, 200, 1000])
@pytest.mark.parametrize("size", [Size(300, 200), Size(71, 333), Size(9, 9)], ids=str)
def test_tiles_that_are_asked_for_are_counted_without_being_made(
    name: str, tile: int, size: Size
) -> None:
    spec = CATALOGUE[name]
    plan = planning.plan_for_tile_size(size, spec, tile, None)
    told = measure_tile_grid(size, spec, tile, None)
    assert told.outer == plan.tiles[0].outer.size
    assert told.computed == plan.computed
    assert told.rows == plan.tiles[0].core.size.height


@pytest.mark.parametrize("name", ["realesrgan.x4plus", "swinir.real-x4"])
def test_an_overlap_that_is_asked_for_counts(name: str) -> None:
    spec = CATALOGUE[name]
    place = ExecutionTarget(spec.cpu_bytes)
    size = Size(6000, 2000)
    narrow, wide = (estimate_network(size, spec, place, 0, overlap) for overlap in (8, 200))
    assert narrow.seconds < wide.seconds
    assert narrow.plan is not None and narrow.plan.overlap == 8


def test_the_seconds_follow_the_pace_of_the_model_alone() -> None:
    made = estimate_request(order())
    assert made.scale_seconds(1.0) == made.seconds
    assert made.scale_seconds(3.0) - made.scale_seconds(1.0) == pytest.approx(
        2 * made.model_seconds
    )


@pytest.mark.parametrize("most", [60, 100, 200])
def test_what_would_fit_does(most: int) -> None:
    fits = find_fitting_size(order(4000, 3000, format="webp"), CPU, most * MEBIBYTE)
    assert fits is not None and fits.width < 4000
    smaller = order(fits.width, fits.height, format="webp", encoded=0)
    assert needed(smaller) <= most * MEBIBYTE


def test_nothing_fits_into_too_little_memory() -> None:
    assert find_fitting_size(order(), CPU, MEBIBYTE) is None


REQUEST = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from benchmarks.cost import Case, measured
data = open(0, "rb").read()
found = measured(Case("bicubic_pp.x3", (1600, 1200), "jpeg", sys.argv[1]), data)
print(found.bytes, found.estimated_bytes)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wanted", FORMATS)
def test_a_real_request_takes_no_more_than_a_third_above_its_estimate(wanted: str) -> None:
    from benchmarks.files import file

    done = subprocess.run(
        [sys.executable, "-c", REQUEST, wanted],
        input=file(1600, 1200, "jpeg"),
        capture_output=True,
        check=True,
    )
    took, expected = map(int, done.stdout.split())
    assert expected / 5 < took < 1.34 * expected
