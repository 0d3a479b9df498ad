"""Costs of models: measured once while nobody asks, kept, and known at the next start."""

import json
import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

import executors.cost_meter as module
from executors.cost_meter import CostMeter
from superres.catalogue import CATALOGUE
from superres.estimation.calibration import PaceTracker
from superres.estimation.kept_costs import KeptCosts
from superres.inference.device import Device, find_device
from superres.model_loader import NetworkModel
from superres.weights.store import Store

NAMES = ("bicubic_pp.x3", "lanczos.x2")


@pytest.fixture(scope="module")
def models() -> dict[str, NetworkModel]:
    device, store = Device(find_device("cpu")), Store.from_environment(offline=True)
    return {name: NetworkModel(CATALOGUE[name], device, store) for name in NAMES}


@pytest.fixture(autouse=True)
def short_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)


def make(models: dict[str, NetworkModel], folder: Path, *, busy: bool = False) -> CostMeter:
    return CostMeter(models, KeptCosts(folder), PaceTracker(), lambda: busy)


def wait(meter: CostMeter) -> None:
    end = time.monotonic() + 30
    while not all(meter.find(name).measured for name in NAMES):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_costs_are_measured_and_known_at_the_next_start(
    models: dict[str, NetworkModel], tmp_path: Path
) -> None:
    first = make(models, tmp_path)
    guess = first.find("bicubic_pp.x3")
    assert not guess.measured
    assert guess.seconds_per_megapixel == CATALOGUE["bicubic_pp.x3"].seconds_per_megapixel
    first.start()
    wait(first)
    second = make(models, tmp_path)
    assert [second.find(name) for name in NAMES] == [first.find(name) for name in NAMES]
    tag = second.find("lanczos.x2").as_tag()
    assert tag["measured"] and 0 < tag["seconds_per_megapixel"] < 100


def test_nothing_is_measured_while_there_are_requests(
    models: dict[str, NetworkModel], tmp_path: Path
) -> None:
    meter = make(models, tmp_path, busy=True)
    meter.start()
    time.sleep(0.5)
    meter.stop()
    assert not any(meter.find(name).measured for name in NAMES)
    assert not list(tmp_path.iterdir())


def test_it_stops_when_it_is_told(models: dict[str, NetworkModel], tmp_path: Path) -> None:
    meter = make(models, tmp_path)
    meter.stop()
    meter.start()
    time.sleep(0.3)
    assert not any(meter.find(name).measured for name in NAMES)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"seconds_per_megapixel": "x"}', "null"])
def test_a_damaged_file_is_measured_again(tmp_path: Path, damage: str) -> None:
    kept, facts = KeptCosts(tmp_path), {"model": "a", "processor": "p"}
    assert kept.keep(facts, 2.0) and kept.find(facts) == 2.0
    next(tmp_path.rglob("*.json")).write_text(damage)
    assert kept.find(facts) is None
    assert kept.list_known(["p"]) == {}
    assert kept.keep(facts, 3.0) and kept.find(facts) == 3.0
    assert kept.list_known(["p"]) == {"a": 3.0} and kept.list_known(["other"]) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = KeptCosts(tmp_path / "file")
    assert not kept.keep({"model": "a"}, 1.0)
    assert kept.list_known(["p"]) == {}


def write_many(folder: Path, model: str) -> None:
    for number in range(200):
        assert KeptCosts(folder).keep({"model": model, "processor": "p"}, 1.0 + number)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, m)) for m in ("a", "a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert KeptCosts(tmp_path).list_known(["p"]) == {"a": 200.0, "b": 200.0}
    files = list((tmp_path / "costs").iterdir())
    assert len(files) == 2
    assert all(json.loads(file.read_text()) for file in files)


def test_without_a_folder_it_measures_all_the_same(models: dict[str, NetworkModel]) -> None:
    meter = CostMeter(models, None, PaceTracker(), lambda: False)
    meter.start()
    wait(meter)


def hold(folder: Path, held: Event, let_go: Event) -> None:
    with KeptCosts(folder).lock():
        held.set()
        assert let_go.wait(60)


def test_only_one_process_measures_at_a_time(
    models: dict[str, NetworkModel], tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, held, let_go))
    other.start()
    assert held.wait(60)
    meter = make(models, tmp_path)
    meter.start()
    time.sleep(1)
    assert not any(meter.find(name).measured for name in NAMES)
    let_go.set()
    wait(meter)
    other.join(30)
    assert other.exitcode == 0
