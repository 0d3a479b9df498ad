import numpy as np
import pytest
import torch

from superres.catalogue import CATALOGUE
from superres.errors import Cancelled
from superres.geometry import Size
from superres.inference.device import Device
from superres.inference.job import FrameJob
from superres.inference.planning import Plan, plan_rows
from superres.inference.row_streamed import skip_rows, stream_rows
from superres.inference.upscaler import NetworkUpscaler

CPU = torch.device("cpu")


def picture(width: int, height: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def subject(name: str) -> NetworkUpscaler:
    torch.manual_seed(0)
    spec = CATALOGUE[name]
    return NetworkUpscaler(spec, spec.build(), Device(CPU))


def narrow_plan(upscaler: NetworkUpscaler, size: Size) -> Plan:
    """Two panels or more, a few rows at a time."""
    stream = upscaler.spec.stream
    assert stream is not None
    step_pixels = 700
    panel = 2 * upscaler.spec.overlap + 40
    memory = panel * stream.bytes_per_column + step_pixels * stream.step_bytes
    return plan_rows(size, upscaler.spec, memory, step_pixels)


@pytest.mark.parametrize(
    "name", ["realesrgan.x2plus", "realesrgan.anime-x4", "realesrgan.animevideo-x4", "lapsrn.x4"]
)
def test_panels_are_the_whole_picture_where_its_width_does_not_fit(name: str) -> None:
    upscaler = subject(name)
    size = Size(2 * upscaler.spec.overlap + 111, 9)
    plan, pixels = narrow_plan(upscaler, size), picture(*size)
    assert len(plan.tiles) > 1
    seen: list[tuple[int, int]] = []
    job = FrameJob(pixels, lambda *parts: seen.append(parts))
    with upscaler.device.scheduler.open_queue() as line:
        rows = list(stream_rows(plan, job, line, upscaler.streamable_network))
    whole = upscaler.upscale(pixels, tile=10_000).pixels
    assert abs(np.concatenate(rows).astype(int) - whole).max() <= 1
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert job.cost.computed == plan.computed > size.pixels


def test_what_was_given_out_before_is_not_given_again() -> None:
    upscaler = subject("realesrgan.animevideo-x4")
    size = Size(60, 40)
    plan = plan_rows(size, upscaler.spec, 1e9, 300)
    whole = upscaler.upscale(picture(*size), tile=10_000).pixels
    job = FrameJob(picture(*size), lambda done, total: None, rows_done=37)
    with upscaler.device.scheduler.open_queue() as line:
        rows = list(stream_rows(plan, job, line, upscaler.streamable_network))
    assert abs(np.concatenate(rows).astype(int) - whole[37:]).max() <= 1


def test_an_error_of_the_progress_ends_a_stream() -> None:
    upscaler = subject("realesrgan.animevideo-x4")
    plan = plan_rows(Size(40, 200), upscaler.spec, 1e9, 160)
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        raise Cancelled("enough")

    job = FrameJob(picture(40, 200), stop)
    with pytest.raises(Cancelled), upscaler.device.scheduler.open_queue() as line:
        list(stream_rows(plan, job, line, upscaler.streamable_network))
    assert seen == [1]


@pytest.mark.parametrize("skipped", range(7))
def test_rows_are_skipped_across_strips(skipped: int) -> None:
    strips = [np.full((n, 1, 1), n, np.uint8) for n in (2, 1, 3)]
    whole = np.concatenate(strips)[skipped:]
    left = list(skip_rows(iter(strips), skipped))
    assert np.array_equal(np.concatenate([*left, whole[:0]]), whole)
    assert all(len(strip) for strip in left)
