"""The Executor beside images: start, limits, cancellation, what it tells of itself."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from docarray import Document, DocumentArray
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from executors.admission.deadline import Deadline
from executors.error_response import RequestFailed
from executors.systems import BicubicPP
from superres.errors import Cancelled, DeadlineExceeded
from superres.estimation.calibration import PaceTracker
from tests.executors.conftest import Caller, png


def test_it_lists_its_models(executor: BicubicPP) -> None:
    listed = [doc.tags for doc in asyncio.run(executor.list_models())]
    assert [tags["name"] for tags in listed] == ["bicubic_pp.x3", "bicubic_pp.x2"]
    assert [tags["default"] for tags in listed] == [True, False]


def test_it_tells_the_tiles_of_a_running_request(executor: BicubicPP) -> None:
    watch = Deadline(0)
    watch.note_progress(Document(), 3, 7)
    executor.deadlines["mine"] = watch
    (known,) = asyncio.run(executor.progress({"request_id": "mine"}))
    executor.deadlines.clear()
    (unknown,) = asyncio.run(executor.progress({"request_id": "mine"}))
    assert known.tags == {"known": True, "done": 3, "total": 7}
    assert not unknown.tags["known"]


def test_a_finished_request_is_forgotten(caller: Caller) -> None:
    caller.one(Document(blob=png()), request_id="short")
    assert not caller.executor.deadlines


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modell": "x"}, 'unknown option "modell"'),
        ({"models": ["esrgan"]}, 'model "esrgan": expected one of bicubic_pp.x3'),
        ({"device": "quantum"}, 'device "quantum"'),
        ({"precision": "fp8"}, 'precision "fp8": expected one of auto'),
        ({"optimize": "more"}, 'optimize "more": expected one of auto, none, max'),
        ({"workers": -1}, "workers -1: expected a whole number"),
        ({"host_memory_mb": "all"}, 'host_memory_mb "all": expected a whole number'),
        ({"max_frames": -1}, "max_frames -1: expected a whole number"),
        ({"weights_sources": ["pypi"]}, 'weights_sources "pypi": expected one of publisher, mirr'),
        ({"weights_mirrors": "ftp://a"}, 'weights_mirrors "ftp://a": expected an address of http'),
        ({"offline": "maybe"}, 'offline "maybe": expected true or false'),
        ({"uri_private_networks": ["here"]}, "here"),
        ({"face_model": "gfpgan.v9"}, 'face_model "gfpgan.v9": expected one of gfpgan.v1.4'),
        ({"models": ["bicubic_pp.official-x3"], "offline": True}, "bicubic_pp_x3.pth"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    options: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        BicubicPP(**options)
    assert words in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_missing_weights_name_file_url_hash_and_folder(tmp_path: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        BicubicPP(models=["bicubic_pp.official-x3"], offline=True, cache_dir=str(tmp_path))
    told = str(stopped.value)
    for part in ("bicubic_pp_x3.pth", "https://raw.github", "38a0cff7927b", str(tmp_path)):
        assert part in told


def test_settings_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERRES_MAX_DOCUMENTS", "3")
    assert BicubicPP(offline=True).settings.max_documents == 3
    assert BicubicPP(offline=True, max_documents=5).settings.max_documents == 5


@pytest.mark.parametrize(("optimize", "warm"), [("auto", 2), ("none", 0)])
def test_each_model_is_warmed_up_at_the_start(optimize: str, warm: int) -> None:
    first_layers: set[nn.Module] = set()

    def note(module: nn.Module, *_: object) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            first_layers.add(module)

    hook = register_module_forward_hook(note)
    made = BicubicPP(offline=True, models=["bicubic_pp.x2", "bicubic_pp.x4"], optimize=optimize)
    hook.remove()
    made.close()
    assert len(first_layers) == warm


def test_an_overloaded_server_says_when_to_come_again() -> None:
    full = BicubicPP(offline=True, max_waiting=2)
    full.admission.admit(2)
    with full.admission.expect_work(7.0), pytest.raises(RequestFailed) as refused:
        Caller(full).one(Document(blob=png()))
    told = json.loads(str(refused.value))
    assert (told["code"], told["status"], told["retry_after"]) == ("OVERLOADED", 429, 7)


def test_the_pace_of_a_model_is_learned_from_requests(caller: Caller) -> None:
    caller.executor.pace_tracker = PaceTracker()
    caller.one(Document(blob=png(size=(60, 40))))
    assert caller.executor.pace_tracker.get_pace("bicubic_pp.x3") not in (0.0, 1.0)


def test_a_request_that_takes_too_long_ends_between_tiles(caller: Caller) -> None:
    slow = BicubicPP(offline=True, deadline_seconds=1e-9)
    with pytest.raises(RequestFailed) as failed:
        Caller(slow).one(Document(blob=png()))
    assert json.loads(str(failed.value))["status"] == 504


def test_a_watch_notices_the_end_of_time_and_of_interest() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline(1e-9).check()
    watch = Deadline(0)
    watch.check()
    watch.cancelled.set()
    with pytest.raises(Cancelled):
        watch.check()


def test_a_cancelled_request_stops_within_a_tile(executor: BicubicPP) -> None:
    async def cancel() -> int:
        docs = DocumentArray([Document(blob=png(size=(600, 600)), tags={"tile": 20})])
        task = asyncio.create_task(executor.upscale(docs, parameters={"request_id": "gone"}))
        while "gone" not in executor.deadlines or executor.deadlines["gone"].count_tiles()[0] < 1:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        watch = executor.deadlines["gone"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = watch.count_tiles()[0]
        await asyncio.sleep(0.5)
        return watch.count_tiles()[0] - before

    assert asyncio.run(cancel()) <= 1


def test_many_clients_get_their_own_pictures(caller: Caller) -> None:
    sizes = [(5 + i, 4 + i % 3) for i in range(12)]
    made: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        answer = caller.one(Document(blob=png(size=sizes[number])))
        made[number] = answer.tags["upscale"]["input_size"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(sizes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tuple(made[i]) for i in range(len(sizes))] == sizes


def test_the_default_imports_no_heavy_library_that_it_does_not_use() -> None:
    code = (
        "import sys, executors.superres_executors as e; e.BicubicPP(offline=True);"
        "heavy = {'basicsr', 'realesrgan', 'transformers', 'diffusers', 'gfpgan', 'facexlib'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("own", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_of_the_network_do_not_spin_unless_the_operator_says_so(
    own: str | None, expected: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": own} if own else {}
    code = (
        "import sys; sys.modules['executors.degrader'] = None\n"
        "try: import executors.superres_executors\n"
        "except ImportError: pass\n"
        "import os; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == ["False", expected]


def test_what_it_tells_of_a_model_is_enough_to_choose_by(executor: BicubicPP) -> None:
    tags = asyncio.run(executor.list_models())[0].tags
    assert tags["licence"] and tags["description"] and tags["scale"] == 3
    assert tags["cost"]["seconds_per_megapixel"] > 0
    assert tags["quality"] > tags["bicubic_quality"] > 0


def test_it_says_which_model_it_has_chosen_and_why(caller: Caller) -> None:
    answer = caller.one(Document(blob=png(), tags={"model": "auto:best"}))
    told = answer.tags["upscale"]
    assert answer.tags["model"] == "auto:best"
    assert told["chosen"]["asked"] == "auto:best"
    assert told["chosen"]["model"] == told["model"] == "bicubic_pp.x3"
    assert "quality" in told["chosen"]["reason"]
    assert "chosen" not in caller.one(Document(blob=png())).tags["upscale"]


def test_another_preference_is_refused_with_all_that_is_allowed(caller: Caller) -> None:
    with pytest.raises(RequestFailed) as caught:
        caller.one(Document(blob=png(), tags={"model": "auto:cheap"}))
    problem = json.loads(caught.value.args[0])
    assert problem["code"] == "MODEL"
    assert "auto:fast" in problem["allowed"] and "bicubic_pp.x3" in problem["allowed"]
