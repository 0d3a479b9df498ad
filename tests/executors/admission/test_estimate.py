"""Images are let in by what they will take, before anything is decoded."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from docarray import Document, DocumentArray
from PIL import Image

from executors.admission.estimate import estimate_target
from executors.systems import BicubicPP
from superres.geometry import Size
from superres.image.size_expression import SizeExpression
from tests.executors.conftest import Caller, opened, png

WORKERS = 2


@pytest.fixture(scope="module")
def tight() -> Iterator[BicubicPP]:
    """An Executor with the least memory there can be: 8 MiB for small images, 56 for large."""
    executor = BicubicPP(offline=True, host_memory_mb=1, workers=WORKERS, max_waiting=40)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def narrow(tight: BicubicPP) -> Caller:
    return Caller(tight)


def slow_lane_is_free(executor: BicubicPP) -> bool:
    memory = executor.worker_pools.slow.memory
    claim = memory.claim(memory.capacity)
    try:
        return claim.granted.done()
    finally:
        memory.release(claim)


def test_a_picture_that_never_fits_is_refused_with_what_would(narrow: Caller) -> None:
    told = narrow.refusal(Document(id="mine", blob=png(size=(3000, 2000))), image_format="webp")
    assert (told["code"], told["status"]) == ("MEMORY", 422)
    assert "3000x2000" in told["message"] and "host_memory_mb" in told["message"]
    assert "MB" in told["message"] and "56 MB" in told["message"]
    fits = told["allowed"].split("about ")[1].split(",")[0]
    width, height = map(int, fits.split("x"))
    answer = narrow.one(Document(blob=png(size=(width, height))), image_format="webp")
    assert opened(answer).size == (3 * width, 3 * height)


def test_it_is_refused_before_it_is_decoded(
    narrow: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png(size=(3000, 2000))
    decoded: list[object] = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: decoded.append(self) or load(self))
    narrow.refusal(Document(blob=data), image_format="webp")
    assert not decoded


def test_pictures_that_do_not_fit_together_take_turns(tight: BicubicPP, narrow: Caller) -> None:
    docs = [Document(blob=png(size=(200, 150))) for _ in range(8)]
    answers = narrow.many(docs, errors="raise")
    assert [opened(answer).size for answer in answers] == [(600, 450)] * 8
    assert slow_lane_is_free(tight)


def test_whatever_fails_gives_its_memory_back(tight: BicubicPP, narrow: Caller) -> None:
    cut = png(size=(300, 200))[:-60]
    for options in ({"scale": "9000:9000"}, {"quality": 101}):
        narrow.refusal(Document(blob=png(size=(200, 150))), **options)
    narrow.refusal(Document(blob=cut))
    assert slow_lane_is_free(tight)
    assert tight.admission.admitted == 0


def test_who_leaves_while_waiting_gives_its_place_back(tight: BicubicPP) -> None:
    memory = tight.worker_pools.slow.memory

    async def leave() -> None:
        all_of_it = memory.claim(memory.capacity)
        docs = DocumentArray([Document(blob=png(size=(200, 150)))])
        waiting = asyncio.create_task(tight.upscale(docs))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        memory.release(all_of_it)

    asyncio.run(leave())
    assert slow_lane_is_free(tight)
    assert tight.admission.admitted == 0


@pytest.fixture(scope="module")
def roomy() -> Iterator[BicubicPP]:
    executor = BicubicPP(offline=True, workers=1)
    yield executor
    executor.close()


def large() -> Document:
    """An image of so many tiles that nobody waits for its end."""
    return Document(blob=png(size=(2000, 1500)), tags={"tile": 20})


def test_small_pictures_pass_by_large_ones(roomy: BicubicPP) -> None:
    order: list[str] = []

    async def ask(name: str, document: Document, **parameters: Any) -> None:
        try:
            await roomy.upscale(DocumentArray([document]), parameters=parameters)
        finally:
            order.append(name)

    async def both() -> None:
        first = asyncio.create_task(ask("large", large(), request_id="large"))
        while "large" not in roomy.deadlines or roomy.deadlines["large"].count_tiles()[0] < 2:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        await asyncio.gather(*(ask("small", Document(blob=png())) for _ in range(5)))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(both())
    assert order == ["small"] * 5 + ["large"]


def test_sources_that_answer_late_hold_no_small_picture_up(roomy: BicubicPP) -> None:
    hold = threading.Event()
    for _ in range(8):
        roomy.worker_pools.readers.submit(hold.wait, 10)
    try:
        assert Caller(roomy).one(Document(blob=png())).blob
    finally:
        hold.set()


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(None, None), ("60:-1", Size(60, 30)), ("-1:60", Size(120, 60)), ("9000:1", None)],
)
def test_the_larger_of_both_ways_to_hold_a_picture_counts(
    scale: str | None, expected: Size | None
) -> None:
    expression = None if scale is None else SizeExpression.parse(scale)
    found = estimate_target(expression, Size(80, 40), 3)
    sizes = {expected, None if expected is None else Size(expected.height, expected.width)}
    assert found in sizes or (found is not None and expected is not None)
    if found and expected:
        assert found.pixels >= expected.pixels
