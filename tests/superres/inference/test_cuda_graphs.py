import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from superres.catalogue import CATALOGUE
from superres.geometry import Box, Size
from superres.inference.batch_runner import (
    BATCH_PIXELS,
    MAX_BATCH_TILES,
    BatchRunner,
    TileInput,
    TileResult,
    choose_batch_size,
)
from superres.inference.cuda_graphs import (
    CAPTURE_AFTER_RUNS,
    MAX_GRAPHS,
    MIN_BATCH_FILL,
    CapturedGraph,
    Function,
    GraphCache,
    split_batch,
)
from superres.inference.device import Device
from superres.inference.transfers import CopyStreams

gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")


@pytest.mark.parametrize("count", range(1, 130))
def test_a_batch_is_cut_into_few_shapes_with_little_waste(count: int) -> None:
    made = split_batch(count)
    assert sum(piece.wanted for piece in made) == count
    for computed, wanted in made:
        assert computed.bit_count() == 1
        assert MIN_BATCH_FILL * computed <= wanted <= computed


@pytest.mark.parametrize("free", [0, 10**6, 10**9, 10**12])
@pytest.mark.parametrize("pixels", [1, 64 * 64, 512 * 512, 10**7])
def test_the_largest_batch_keeps_within_memory_and_time(free: int, pixels: int) -> None:
    most = choose_batch_size(free, 1000 * pixels, pixels)
    assert most.bit_count() == 1
    if most > 1:
        assert most <= MAX_BATCH_TILES
        assert most * pixels <= BATCH_PIXELS
        assert most * 1000 * pixels * 2 <= free
    else:
        assert 2 * pixels > BATCH_PIXELS or 2 * 1000 * pixels * 2 > free


class OnHost:
    """A capture as CUDA's: fixed memory for what goes in and comes out; runs where it likes."""

    def __init__(self, held: int = 0, fails: tuple[Function, ...] = ()) -> None:
        self.shapes: list[int] = []
        self.forgotten = 0
        self.held = held
        self.fails = fails

    def __call__(self, function: Function, like: Tensor) -> CapturedGraph:
        self.shapes.append(len(like))
        if function in self.fails:
            raise RuntimeError("not permitted when a stream is capturing\nand more")
        source = torch.full_like(like, 99)
        results = tuple(result.clone() for result in function(source))

        def replay() -> None:
            for result, new in zip(results, function(source), strict=True):
                result.copy_(new)

        return CapturedGraph(replay, source, results, self.held)

    def forget(self) -> None:
        self.forgotten += 1


def doubled(x: Tensor) -> tuple[Tensor, ...]:
    return 2 * x, x.sum(1)


def batch(count: int, start: int = 0, width: int = 5) -> Tensor:
    return torch.arange(start, start + count * width).view(count, width)


def run(graphs: GraphCache, x: Tensor, *functions: Function) -> tuple[Tensor, ...]:
    return graphs.run("model", functions or (doubled,), x)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 13])
def test_a_graph_gives_what_the_function_gives(count: int) -> None:
    graphs = GraphCache(OnHost())
    for start in range(6):
        x = batch(count, start)
        for got, expected in zip(run(graphs, x), doubled(x), strict=True):
            assert torch.equal(got, expected)
    assert graphs.captured


def test_a_shape_is_captured_when_it_comes_again() -> None:
    capture = OnHost()
    graphs = GraphCache(capture)
    for _ in range(CAPTURE_AFTER_RUNS):
        run(graphs, batch(4))
    assert capture.shapes == []
    for _ in range(3):
        run(graphs, batch(4))
    assert capture.shapes == [4]


def test_results_are_not_overwritten_by_the_next_run() -> None:
    graphs = GraphCache(OnHost())
    for _ in range(CAPTURE_AFTER_RUNS + 1):
        first = run(graphs, batch(4))
    run(graphs, batch(4, 1000))
    assert torch.equal(first[0], 2 * batch(4))


def test_the_least_recently_used_graph_is_dropped() -> None:
    graphs = GraphCache(OnHost())
    for width in range(1, MAX_GRAPHS + 2):
        for _ in range(CAPTURE_AFTER_RUNS + 1):
            run(graphs, batch(1, width=width))
        run(graphs, batch(1, width=1))
    assert len(graphs.captured) == MAX_GRAPHS
    shapes = {key[2][0] for key in graphs.captured}  # type: ignore[index] # (name, count, shape)
    assert 1 in shapes and 2 not in shapes


def test_graphs_that_hold_too_much_are_dropped_together() -> None:
    capture = OnHost(held=60)
    graphs = GraphCache(capture, most_bytes=100)
    for width in range(1, 4):
        for _ in range(CAPTURE_AFTER_RUNS + 1):
            run(graphs, batch(1, width=width))
    assert capture.forgotten == 1
    assert len(graphs.captured) == 1 and graphs.held == 60


def test_a_capture_that_fails_costs_one_line_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture = OnHost(fails=(doubled,))
    graphs = GraphCache(capture)
    with caplog.at_level(logging.WARNING):
        for start in range(6):
            assert torch.equal(run(graphs, batch(4, start))[0], 2 * batch(4, start))
    assert capture.shapes == [4]
    (record,) = caplog.records
    assert record.getMessage() == (
        "no graph for (4, 5): RuntimeError: not permitted when a stream is capturing"
    )


def test_what_cannot_be_compiled_is_not_tried_for_the_next_shape() -> None:
    def better(x: Tensor) -> tuple[Tensor, ...]:
        return doubled(x)

    capture = OnHost(fails=(better,))
    graphs = GraphCache(capture)
    for width in (5, 6):
        for _ in range(CAPTURE_AFTER_RUNS + 2):
            run(graphs, batch(1, width=width), better, doubled)
    assert capture.shapes == [1, 1, 1]
    assert len(graphs.captured) == 2


def test_shapes_that_never_come_again_are_not_remembered_for_ever() -> None:
    graphs = GraphCache(OnHost())
    for width in range(1, 3000):
        run(graphs, torch.zeros(1, width))
    assert len(graphs.uses) <= 1001


# On a GPU


def on(device: Device, name: str) -> BatchRunner:
    torch.manual_seed(0)
    spec = CATALOGUE[name]
    return BatchRunner(spec, spec.build(), device)


def noise(size: Size, seed: int = 0) -> TileInput:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return TileInput(pixels, Box(4, 2, 2 * size.width - 3, 2 * size.height))


def made_of(runner: BatchRunner, parts: list[TileInput]) -> list[TileResult]:
    with runner.device.scheduler.open_queue() as line:
        futures = [line.submit(runner.make_task(part)) for part in parts]
        return [future.result(120) for future in futures]


MODELS = ["bicubic_pp.x2", "dipnet.x4", "lapsrn.x2", "realesrgan.animevideo-x4", "lanczos.x2"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimize", ["none", "auto"])
class TestOnDevice:
    pytestmark = gpu

    def test_batches_equal_the_cpu(
        self, model: str, optimize: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        here = on(Device(torch.device("cpu")), model)
        there = on(Device(CUDA, "fp32", optimize=optimize), model)
        parts = [noise(Size(64, 48), seed) for seed in range(7)]
        expected = made_of(here, parts)
        for _ in range(CAPTURE_AFTER_RUNS + 2):
            for got, wanted in zip(made_of(there, parts), expected, strict=True):
                difference = abs(got.pixels.astype(int) - wanted.pixels.astype(int))
                assert difference.max() <= 1

    def test_graphs_are_made_and_used(self, model: str, optimize: Any) -> None:
        runner = on(Device(CUDA, optimize=optimize), model)
        runner.warm_up(Size(64, 48))
        assert bool(runner.device.graphs.captured) == (optimize == "auto")
        assert not runner.device.graphs.refused


class TestCompiled:
    pytestmark = gpu

    def test_what_is_compiled_equals_the_cpu(self, tmp_path: Path) -> None:
        here = on(Device(torch.device("cpu")), "bicubic_pp.x2")
        device = Device(CUDA, "fp32", optimize="max", cache_dir=tmp_path)
        there, part = on(device, "bicubic_pp.x2"), noise(Size(64, 48))
        there.warm_up(Size(64, 48))
        assert device.graphs.captured and not device.graphs.refused
        (got,), (wanted,) = made_of(there, [part]), made_of(here, [part])
        assert abs(got.pixels.astype(int) - wanted.pixels.astype(int)).max() <= 1


class TestCopies:
    pytestmark = gpu

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_what_goes_up_comes_down(self, dtype: Any) -> None:
        lanes = CopyStreams(CUDA)
        arrays = [np.arange(60, dtype=dtype).reshape(4, 5, 3) + n for n in range(3)]
        up = lanes.upload(arrays)
        assert up.is_cuda and up.shape == (3, 4, 5, 3)
        (down,), seconds = lanes.download([up.contiguous()], lanes.begin()).wait()
        assert np.array_equal(down, np.stack(arrays)) and seconds >= 0

    def test_host_memory_is_pinned(self) -> None:
        assert CopyStreams(CUDA).staged((5,), torch.uint8).is_pinned()


class TestMemory:
    pytestmark = gpu

    def test_a_device_says_what_is_free_and_what_was_used(self) -> None:
        device = Device(CUDA)
        free, peak = device.free(), device.peak()
        made_of(on(device, "lanczos.x2"), [noise(Size(256, 256))])
        assert 0 < device.free() <= free
        assert (peak() or 0) >= 256 * 256 * 4 * 3 * 2
