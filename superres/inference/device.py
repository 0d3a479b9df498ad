"""Where and how to compute: device, number format, memory, and how much is done for speed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from superres.errors import BadSetting
from superres.inference.cuda_graphs import GraphCache
from superres.inference.scheduler import Scheduler
from superres.model_spec import NetworkSpec

Precision = Literal["auto", "fp32", "fp16", "bf16"]
Optimize = Literal["auto", "none", "max"]

CPU_MEMORY = 512 * 2**20  # bytes
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FREE_SHARE = 0.8  # of free memory; the rest is for fragments and the libraries' workspaces


@dataclass(frozen=True)
class Device:
    """Where and how to compute. `memory` is what activations may take, in bytes.

    `optimize` "none" computes as PyTorch does by itself; "auto" adds what pays soon: channels-last
    layout, and on CUDA graphs of shapes that come again; "max" also compiles those, which takes a
    minute each the first time. `cache_dir` keeps what was compiled. Models that share a Device
    share its scheduler and its graphs.
    """

    device: torch.device
    precision: Precision = "auto"
    memory: int | None = None
    optimize: Optimize = "auto"
    cache_dir: Path | None = None
    scheduler: Scheduler = field(default_factory=Scheduler, compare=False, repr=False)
    graphs: GraphCache = field(default_factory=GraphCache, compare=False, repr=False)

    def dtype(self, spec: NetworkSpec) -> torch.dtype:
        """Return the number format for a model: half on CUDA where the model stays within
        tolerance.
        """
        if self.precision == "auto":
            half = self.cuda and spec.half
            return torch.float16 if half else torch.float32
        return HALF.get(self.precision, torch.float32)

    @property
    def cuda(self) -> bool:
        """Whether it is a CUDA device."""
        return self.device.type == "cuda"

    @property
    def layout(self) -> torch.memory_format:
        """How tensors lie in memory.

        Channels-last runs convolutions 1.1 to 1.8 times as fast on CPU and feeds tensor cores.
        """
        return torch.contiguous_format if self.optimize == "none" else torch.channels_last

    def free(self, on_cpu: int = CPU_MEMORY) -> int:
        """Return bytes that activations may take now; `on_cpu` where no limit is set and no
        GPU is.
        """
        if self.memory:
            return self.memory
        if not self.cuda:
            return on_cpu
        unused = torch.cuda.mem_get_info(self.device)[0]
        # The allocator keeps what it was given back; what graphs hold of it nobody else can have.
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int((unused + max(kept - self.graphs.held, 0)) * _FREE_SHARE)

    def peak(self) -> Callable[[], int | None]:
        """Asked later, the most bytes that were in use on a CUDA device from now on; else None.

        What others compute meanwhile counts, and what graphs hold for all.
        """
        if not self.cuda:
            return lambda: None
        torch.cuda.reset_peak_memory_stats(self.device)
        return lambda: torch.cuda.max_memory_allocated(self.device) + self.graphs.held


def find_device(name: str) -> torch.device:
    """Return the device for `auto`, `cuda`, `cuda:N`, `mps` or `cpu`; auto takes the best
    there is.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadSetting(
            f'device "{name}": not usable here; expected auto, cpu, mps, cuda or cuda:N',
            option="device",
        ) from error
    return device
