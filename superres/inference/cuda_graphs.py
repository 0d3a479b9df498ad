"""CUDA graphs of shapes that come again.

A graph spares the launches of a network's kernels, which take longer than the kernels themselves
where a network is deep and a tile small.
"""

import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

# Tensors of a batch from a batch; the first axis of each is the batch's.
Function = Callable[[Tensor], tuple[Tensor, ...]]
MIN_BATCH_FILL = 0.75  # of a padded batch that must be wanted
MAX_GRAPHS = 16  # on a device
_GRAPH_MEMORY_SHARE = 0.4  # of the device's memory that graphs may hold
# A shape is captured when it comes for the third time: most images' sizes never come again, and
# a capture takes as long as about ten runs.
CAPTURE_AFTER_RUNS = 2
MAX_TRACKED_SHAPES = 1000  # shapes that are counted
_WARM_UP_RUNS = 3  # runs before a capture; cuDNN chooses its algorithms meanwhile

log = logging.getLogger(__name__)


class BatchPiece(NamedTuple):
    """A part of a batch: `wanted` tiles, padded to `computed`."""

    computed: int
    wanted: int


def split_batch(count: int) -> list[BatchPiece]:
    """Return a batch of `count` as batches of 1, 2, 4, 8 …, the last one padded where little is
    wasted.

    So few shapes need a graph.
    """
    made = []
    while count:
        power = 1 << (count - 1).bit_length()
        if count < MIN_BATCH_FILL * power:
            power //= 2
        made.append(BatchPiece(power, min(count, power)))
        count -= made[-1].wanted
    return made


@dataclass
class CapturedGraph:
    """A function of one shape, ready to be replayed: it reads `source` and writes `results`."""

    replay: Callable[[], None]
    source: Tensor
    results: tuple[Tensor, ...]
    held: int = 0  # bytes that it keeps from others

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the results for `x`, of at most as many tiles as captured; copies of their own."""
        self.source[: len(x)].copy_(x)
        self.replay()
        return tuple(result[: len(x)].clone() for result in self.results)


class Capture(Protocol):
    """How functions are captured."""

    def __call__(self, function: Function, like: Tensor) -> CapturedGraph:
        """Return `function` for batches as `like`."""
        ...

    def forget(self) -> None:
        """Forget all that was captured."""
        ...


class GraphCache:
    """The graphs of a device, for all its models; the least recently used ones are dropped.

    Only one thread, on one stream, in inference mode, may use it: graphs share the memory of what
    they compute in between, which is safe because each one's results are copied out before the next
    one runs. `most_bytes` is what all may hold; by default a share of the device's memory.
    """

    def __init__(self, capture: Capture | None = None, most_bytes: int | None = None) -> None:
        self.capture = capture or CudaCapture()
        self.max_bytes = most_bytes
        self.captured: OrderedDict[Hashable, CapturedGraph] = OrderedDict()
        self.uses: Counter[Hashable] = Counter()
        self.refused: set[Hashable] = set()
        self.held = 0  # bytes that they keep from others

    def run(self, name: Hashable, functions: Sequence[Function], x: Tensor) -> tuple[Tensor, ...]:
        """Return the last of `functions` of a batch, or the same by a graph of the first that
        allows it.

        `name` tells those of one model from others. A failed capture costs one line in the log.
        """
        made: list[tuple[Tensor, ...]] = []
        for piece in split_batch(len(x)):
            part, x = x[: piece.wanted], x[piece.wanted :]
            made.append(self.find_function(name, functions, part, piece.computed)(part))
        if len(made) == 1:
            return made[0]
        return tuple(torch.cat(parts) for parts in zip(*made, strict=True))

    def find_function(
        self, name: Hashable, functions: Sequence[Function], x: Tensor, computed: int
    ) -> Function:
        """Return what computes `x`: a graph where its shape, padded to `computed`, came often
        enough.
        """
        key = (name, computed, x.shape[1:])
        if key in self.captured:
            self.captured.move_to_end(key)
            return self.captured[key]
        if len(self.uses) > MAX_TRACKED_SHAPES:
            self.uses.clear()
        self.uses[key] += 1
        if self.uses[key] <= CAPTURE_AFTER_RUNS or key in self.refused:
            return functions[-1]
        like = x.new_zeros(computed, *x.shape[1:])
        self.make_room(like)
        for number, function in enumerate(functions):
            # Whether the plain one can be captured may depend on the shape.
            what = key if function is functions[-1] else (name, number)
            if what in self.refused:
                continue
            captured = self.try_capture(function, like)
            if captured:
                self.captured[key] = captured
                self.held += captured.held
                return captured
            self.refused.add(what)
        return functions[-1]

    def try_capture(self, function: Function, like: Tensor) -> CapturedGraph | None:
        """Return a graph of `function`; None, and a line in the log, where there can be none."""
        try:
            return self.capture(function, like)
        # Compilers and drivers raise what they like; the plain function works without them.
        except Exception as error:  # noqa: BLE001
            log.warning("no graph for %s: %s", tuple(like.shape), first_line(error))
        if like.is_cuda:
            torch.cuda.empty_cache()
        return None

    def make_room(self, like: Tensor) -> None:
        """Drop graphs so that one more is within the limits."""
        most = self.max_bytes
        if most is None and like.is_cuda:
            total = torch.cuda.get_device_properties(like.device).total_memory
            most = int(total * _GRAPH_MEMORY_SHARE)
        if most is not None and self.held > most:
            # One by one would not do: the memory is shared, and free once all are gone.
            self.clear()
        elif len(self.captured) >= MAX_GRAPHS:
            _wait_for_device()
            self.captured.popitem(last=False)  # its memory is the next one's

    def clear(self) -> None:
        """Drop all graphs and what they hold."""
        _wait_for_device()
        self.captured.clear()
        self.uses.clear()
        self.held = 0
        self.capture.forget()


def _wait_for_device() -> None:
    """Wait until the device computes nothing, so that no graph is dropped while it runs."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class CudaCapture:
    """Captures CUDA graphs that share the memory of what they compute in between."""

    def __init__(self) -> None:
        self.pool: Any = None
        # One for all: each stream that multiplies matrices gets a workspace of 32 MB for ever.
        self.stream: torch.cuda.Stream | None = None

    def __call__(self, function: Function, like: Tensor) -> CapturedGraph:
        """Return a graph of `function` for batches as `like`, after it ran a few times."""
        # current stream   ──┐ waits ┌───────────────────►   runs other work meanwhile
        # capture stream     └► warm-up runs ─► capture      its memory comes from the shared pool
        # Later `replay` reads `source` and writes `results`, always at the same addresses.
        source = like.clone()
        current = torch.cuda.current_stream(like.device)
        self.stream = stream = self.stream or torch.cuda.Stream(like.device)
        warm_up(function, source, stream)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(like.device)
        graph = torch.cuda.CUDAGraph()
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        # Set once more because torch.cuda.graph leaves its own stream current where it fails.
        with torch.cuda.stream(current):
            try:
                # Other threads may copy or allocate meanwhile, on streams of their own.
                with torch.cuda.graph(graph, self.pool, stream, capture_error_mode="thread_local"):
                    results = function(source)
            except BaseException:
                self.forget()
                raise
        held = max(torch.cuda.memory_reserved(like.device) - before, 0)
        return CapturedGraph(graph.replay, source, results, held)

    def forget(self) -> None:
        """Begin a new pool: one whose graphs are gone or broken must not be used again."""
        self.pool = None


def warm_up(function: Function, source: Tensor, stream: torch.cuda.Stream) -> None:
    """Run `function` beside the current stream, as a capture needs; convolutions are chosen by
    time.
    """
    current = torch.cuda.current_stream(source.device)
    stream.wait_stream(current)
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                function(source)
    finally:
        torch.backends.cudnn.benchmark = before
    current.wait_stream(stream)


def compile_function(function: Function, cache_dir: Path | None) -> Function:
    """Return `function` compiled for each shape anew, when it first comes; kept below
    `cache_dir`.
    """
    if cache_dir is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir / "inductor"))
    made: Function = torch.compile(function, fullgraph=True, dynamic=False)
    return made


def first_line(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says, for a log."""
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text[:200]}"
