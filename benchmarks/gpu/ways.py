"""The ways to run a network that benchmarks.gpu compares."""

import gc
import io
import time
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Pixels
from benchmarks.gpu.peak import fastest, settle
from superres.geometry import round_up
from superres.inference.batch_runner import BatchRunner
from superres.inference.cuda_graphs import CAPTURE_AFTER_RUNS
from superres.inference.device import Device, Optimize, Precision

CPU = torch.device("cpu")
COMPILING_SECONDS = 60.0  # what must be left before something is compiled


class Calls(NamedTuple):
    """`device` computes a batch that lies on the device; `whole` goes from host to host for so many
    seconds and gives the seconds per image. Either may be missing.
    """

    device: Callable[[], object] | None
    whole: Callable[[float], float] | None
    held: Callable[[], int] = lambda: 0  # bytes beside those that the allocator counts


@dataclass(frozen=True)
class Way:
    """One way to run a case in a batch; `peak` names the products it is held against."""

    name: str
    make: Callable[[Case, int], Calls]
    peak: str
    batched: bool = False  # timed for every batch of a case, not the first alone
    slow: bool = False
    least_seconds: float = 5.0
    takes: Callable[[Case], bool] = lambda case: True


def timed(case: Case, way: Way, batch: int, seconds: float) -> dict[str, Any]:
    """Return what one way takes, per image."""
    tidy(case.device)
    calls = way.make(case, batch)
    if case.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(case.device)
    on_device = fastest(calls.device, case.device, seconds) / batch if calls.device else None
    whole = calls.whole(seconds) if calls.whole else None
    return {
        "model": case.spec.name,
        "size": str(case.size),
        "way": way.name,
        "batch": batch,
        "peak": way.peak if case.device.type == "cuda" else "fp32",
        "operations": case.operations,
        "device_seconds": on_device,
        "seconds": whole,
        "peak_mb": peak_memory(case, calls),
    }


def tidy(device: torch.device) -> None:
    """Remove what the last way left on the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory(case: Case, calls: Calls) -> float | None:
    """MiB on the device at most; None on a CPU."""
    if case.device.type != "cuda":
        return None
    return (torch.cuda.max_memory_allocated(case.device) + calls.held()) / 2**20


# Ours


def ours(optimize: Optimize, case: Case, batch: int) -> Calls:
    """Our runner and its scheduler."""
    runner = runner_of(case, "auto", optimize)
    part = case.part(case.size)
    raw = torch.from_numpy(np.stack([part.pixels] * batch)).to(case.device)

    @torch.inference_mode()
    def on_device() -> object:
        return runner.compute_batch(raw, part)

    def whole(seconds: float) -> float:
        return sustained(runner, case, seconds)

    for _ in range(CAPTURE_AFTER_RUNS):
        on_device()
    # Further shapes would be compiled for the batches that the scheduler makes.
    once = batch == case.batches[0] and optimize != "max"
    return Calls(on_device, whole if once else None, lambda: held(runner))


def runner_of(case: Case, precision: Precision, optimize: Optimize) -> BatchRunner:
    """Return the runner of a case."""
    return BatchRunner(case.spec, case.network(), Device(case.device, precision, None, optimize))


def held(runner: BatchRunner) -> int:
    """Return bytes of graphs."""
    return runner.device.graphs.held


def sustained(runner: BatchRunner, case: Case, seconds: float) -> float:
    """Return seconds per image where one request follows the other without a pause."""
    part = case.part(case.size)
    ahead = runner.count_ahead(case.size)
    with runner.device.scheduler.open_queue() as line:
        for _ in range(CAPTURE_AFTER_RUNS + 1):
            for future in [line.submit(runner.make_task(part)) for _ in range(ahead)]:
                future.result()
        waiting = deque(line.submit(runner.make_task(part)) for _ in range(ahead))
        started, done = time.perf_counter(), 0
        while done < 2 or time.perf_counter() - started < seconds:
            waiting.popleft().result()
            waiting.append(line.submit(runner.make_task(part)))
            done += 1
        return (time.perf_counter() - started) / done


# What a script does


def eager(dtype: torch.dtype, case: Case, batch: int) -> Calls:
    """Return the publisher's network in NCHW, floats over the bus, whole numbers made on
    the host.
    """
    network = case.plain(dtype, case.device)
    image = case.part(case.size).pixels
    resident = floats(image, case.spec.input_size.multiple_of).to(case.device, dtype)
    resident = resident.expand(batch, -1, -1, -1).contiguous()

    @torch.no_grad()
    def on_device() -> object:
        return network(resident)

    @torch.no_grad()
    def single() -> object:
        x = floats(image, case.spec.input_size.multiple_of).to(case.device, dtype)
        return levels(network(x).float().cpu())

    def whole(seconds: float) -> float:
        return fastest(single, case.device, seconds)

    return Calls(on_device, whole)


def floats(image: Pixels, multiple: int) -> Tensor:
    """Return (1, 3, h, w) in 0..1, sides continued to multiples."""
    height, width = image.shape[:2]
    rest = (
        (0, round_up(height, multiple) - height),
        (0, round_up(width, multiple) - width),
        (0, 0),
    )
    x = np.pad(image, rest, "edge").astype(np.float32) / 255
    return torch.from_numpy(x).permute(2, 0, 1)[None].contiguous()


def levels(x: Tensor) -> Pixels:
    """Return (h, w, 3) of (1, 3, h, w) in 0..1."""
    made: Pixels = (x[0].clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8).numpy()
    return made


def realesrganer(half: bool, case: Case, _batch: int) -> Calls:
    """RealESRGANer as its command line sets it up: the whole image."""
    from superres.networks.torchvision_compat import repair_torchvision

    repair_torchvision()
    from realesrgan import RealESRGANer

    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save({"params": case.state}, path)
        runner = RealESRGANer(
            scale=case.spec.scale,
            model_path=str(path),
            model=case.plain(torch.float32, CPU),
            tile=0,
            pre_pad=0,
            half=half,
            device=case.device,
        )
    image = case.part(case.size).pixels[..., ::-1]

    def whole(seconds: float) -> float:
        with redirect_stdout(io.StringIO()):
            return fastest(lambda: runner.enhance(image), case.device, seconds)

    return Calls(None, whole)


def of_realesrgan(case: Case) -> bool:
    """Return whether RealESRGANer is made for it."""
    return case.spec.system == "realesrgan"


def on_gpu(case: Case) -> bool:
    """Return whether it runs on a GPU."""
    return case.device.type == "cuda"


WAYS = (
    Way("ours auto", partial(ours, "auto"), "fp16", batched=True),
    Way("eager half", partial(eager, torch.float16), "fp16", takes=on_gpu),
    Way("eager fp32", partial(eager, torch.float32), "tf32"),
    Way(
        "RealESRGANer half",
        partial(realesrganer, True),
        "fp16",
        takes=lambda case: of_realesrgan(case) and on_gpu(case),
    ),
    Way("RealESRGANer fp32", partial(realesrganer, False), "tf32", takes=of_realesrgan),
    Way("ours none", partial(ours, "none"), "fp16"),
    Way(
        "ours max",
        partial(ours, "max"),
        "fp16",
        slow=True,
        least_seconds=COMPILING_SECONDS,
        takes=on_gpu,
    ),
)


# Traces


def traced(case: Case, path: Path) -> None:
    """Write a trace of a few batches of ours, for chrome://tracing or Perfetto."""
    from torch.profiler import ProfilerActivity, profile

    calls = ours("auto", case, 1)
    activities = [ProfilerActivity.CPU]
    if on_gpu(case):
        activities.append(ProfilerActivity.CUDA)
    assert calls.device
    calls.device()
    with profile(activities=activities) as profiler:
        for _ in range(3):
            calls.device()
        settle(case.device)
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    print(f"trace: {path}")
