"""Small images have threads and memory of their own."""

from collections.abc import Iterator

import pytest

from executors.admission.worker_pools import WorkerPools, choose_worker_count


@pytest.fixture
def lanes() -> Iterator[WorkerPools]:
    made = WorkerPools(8000, workers=4, name="test")
    yield made
    made.close()


def test_all_memory_is_in_one_lane_or_the_other(lanes: WorkerPools) -> None:
    assert lanes.quick.memory.capacity + lanes.slow.memory.capacity == 8000
    assert lanes.max_bytes == lanes.slow.memory.capacity == 7000


@pytest.mark.parametrize(
    ("held", "shared", "seconds", "quick"),
    [
        (10, 0, 0.1, True),
        (250, 0, 0.1, True),
        (251, 0, 0.1, False),
        (200, 201, 0.1, False),
        (10, 0, 9.0, False),
    ],
)
def test_a_picture_is_quick_that_takes_little_of_everything(
    lanes: WorkerPools, held: int, shared: int, seconds: float, quick: bool
) -> None:
    lane = lanes.choose_pool(held, shared, seconds)
    assert lane is (lanes.quick if quick else lanes.slow)
    if quick:
        claims = [lane.memory.claim(held, shared) for _ in range(lanes.workers)]
        assert all(claim.granted.done() for claim in claims)


def test_a_lane_works_while_the_other_is_full(lanes: WorkerPools) -> None:
    lanes.slow.memory.claim(7000)
    assert lanes.quick.memory.claim(10).granted.done()
    assert lanes.quick.pool.submit(lambda: 1).result(5) == 1


def test_there_are_more_threads_than_cores() -> None:
    assert 3 <= choose_worker_count() <= 32
