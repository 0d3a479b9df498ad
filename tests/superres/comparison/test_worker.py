"""Measurements in a process of their own: what fails there is told, and harms no other."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from superres.comparison.cells import NotMeasured, Values
from superres.comparison.contenders import Contender, Place, list_contenders
from superres.comparison.crops import plan_crops
from superres.comparison.measuring.cost import measure_cost
from superres.comparison.measuring.crop import write_crop
from superres.comparison.measuring.largest import find_largest, try_largest
from superres.comparison.measuring.subject import Subject
from superres.comparison.measuring.worker import Worker
from superres.comparison.settings import CompareSettings
from superres.errors import BadOption
from superres.weights.store import Store

CPU = Place("cpu", "fp32")


def find(name: str) -> Contender:
    store = Store.from_environment(offline=True)
    return next(c for c in list_contenders([name], [4], store) if c.name == name)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(find("bicubic_pp.x4"), CPU) as found:
        yield found


def fail(_subject: Subject) -> Values:
    raise ValueError("no\nsuch thing")


def die(_subject: Subject, number: int) -> Values:
    os.kill(os.getpid(), number)
    return {}


def sleep(_subject: Subject) -> Values:
    time.sleep(60)
    return {}


def test_cost_holds_what_the_article_reports(worker: Worker) -> None:
    found = worker.measure(measure_cost, 60, 64, 48)
    assert found["seconds"] > 0 and found["peak_mb"] >= 0
    assert min(found["runs"]) <= found["seconds"] <= max(found["runs"])
    assert found["dots_per_ms"] == pytest.approx(64 * 48 / found["seconds"] / 1000, rel=0.02)


def test_a_failure_is_one_line_and_the_next_goes_on(worker: Worker) -> None:
    with pytest.raises(NotMeasured, match="ValueError: no such thing"):
        worker.measure(fail, 60)
    assert worker.measure(measure_cost, 60, 16, 16)["seconds"] > 0


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "out of memory"), (signal.SIGTERM, "ended with -15")]
)
def test_a_process_that_dies_is_told_and_replaced(worker: Worker, number: int, reason: str) -> None:
    with pytest.raises(NotMeasured, match=reason):
        worker.measure(die, 60, number)
    assert worker.measure(measure_cost, 60, 16, 16)["seconds"] > 0


def test_what_takes_too_long_is_ended(worker: Worker) -> None:
    started = time.monotonic()
    with pytest.raises(NotMeasured, match="not done after 1 s"):
        worker.measure(sleep, 1)
    assert time.monotonic() - started < 30


def test_more_memory_lets_larger_images_in_until_the_file_ends(worker: Worker) -> None:
    sides = [worker.measure(find_largest, 60, mb)["side"] for mb in (64, 256, 1024, 16384)]
    assert sides == sorted(set(sides))
    whole = worker.measure(find_largest, 60, 10**7)
    assert whole["limited_by"] == "JPEG" and whole["side"] <= 65500


def test_the_largest_image_is_tried_within_the_memory(worker: Worker) -> None:
    found = worker.measure(try_largest, 120, 300, 2.0)
    largest = worker.measure(find_largest, 60, 300)
    assert 16 <= found["side"] <= largest["side"]
    assert 0 < found["measured_mb"] < 2 * found["estimated_mb"] + 100


def test_a_crop_of_a_part_is_that_of_the_whole(worker: Worker, tmp_path: Path) -> None:
    from PIL import Image

    crop = plan_crops(CompareSettings(tmp_path), [4])[0]
    whole = crop.make_request(worker.contender, "whole", 1000)
    part = crop.make_request(worker.contender, "part", 0)
    assert worker.measure(write_crop, 60, whole)["whole"]
    assert not worker.measure(write_crop, 60, part)["whole"]
    a, b = (np.asarray(Image.open(r.target)).astype(int) for r in (whole, part))
    assert a.shape == (4 * crop.shown[3], 4 * crop.shown[2], 3)
    assert np.abs(a - b).max() <= 1


def test_unknown_models_are_named() -> None:
    with pytest.raises(BadOption, match="nothing"):
        list_contenders(["nothing"], [4], Store.from_environment(offline=True))


@pytest.mark.slow
def test_stable_diffusion_takes_part_where_its_files_are(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="needs requirements-diffusion.txt")
    from tests.superres.diffusion.tiny_diffusion import publish, tiny_pipeline

    name = "stable_diffusion.x4"
    folder = publish(tiny_pipeline(tmp_path / "made"), tmp_path / "published")
    store = Store.from_environment(offline=True)
    (_, contender) = list_contenders([name], [4], store, {name: folder})
    with Worker(contender, CPU) as worker:
        found = worker.measure(measure_cost, 120, 16, 16)
        assert found["seconds"] > 0
        assert worker.measure(find_largest, 60, 4096)["side"] >= 16
    assert name not in [c.name for c in list_contenders([], [4], store)]
