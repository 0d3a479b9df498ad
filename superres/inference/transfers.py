"""Copies to and from a CUDA device, on streams of their own beside the computing.

Pinned memory comes from PyTorch's own caching allocator: it is reused once nobody holds it and its
copies are done.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from superres.inference.cuda_graphs import first_line, log


class Download:
    """Tensors on their way to the host."""

    def __init__(self, tensors: list[Tensor], begun: torch.cuda.Event, arrived: Any) -> None:
        self.tensors = tensors
        self.begun = begun
        self.arrived = arrived

    def wait(self) -> tuple[list[NDArray[Any]], float]:
        """Return the arrays, and the seconds from the begin of the computing to their arrival."""
        self.arrived.synchronize()
        seconds = self.begun.elapsed_time(self.arrived) / 1000
        return [tensor.numpy() for tensor in self.tensors], seconds


class CopyStreams:
    """Copies to and from a device, on streams of their own beside the current one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.up = torch.cuda.Stream(device)
        self.down = torch.cuda.Stream(device)
        self.pinned = True

    def upload(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """Return equal arrays (…) as one tensor (n, …) that the current stream may use."""
        staged = self.staged((len(arrays), *arrays[0].shape), torch.from_numpy(arrays[0][:0]).dtype)
        np.stack(arrays, out=staged.numpy())
        current = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.up):
            arrived = staged.to(self.device, non_blocking=True)
        current.wait_stream(self.up)
        # Its memory was allocated for the copy's stream, and is freed while this one may use it.
        arrived.record_stream(current)
        return arrived

    def begin(self) -> torch.cuda.Event:
        """Record the moment when the current stream comes to here."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def download(self, tensors: Sequence[Tensor], begun: torch.cuda.Event) -> Download:
        """Contiguous tensors copied to the host as soon as the current stream has made them."""
        self.down.wait_stream(torch.cuda.current_stream(self.device))
        made = []
        with torch.cuda.stream(self.down):
            for tensor in tensors:
                staged = self.staged(tuple(tensor.shape), tensor.dtype)
                staged.copy_(tensor, non_blocking=True)
                tensor.record_stream(self.down)
                made.append(staged)
            # Blocking: who waits must not keep a core busy that encodes images.
            arrived = torch.cuda.Event(enable_timing=True, blocking=True)
            arrived.record(self.down)
        return Download(made, begun, arrived)

    def staged(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory of the host for a copy, pinned where the system allows."""
        if self.pinned:
            try:
                return torch.empty(shape, dtype=dtype, pin_memory=True)
            except RuntimeError as error:
                self.pinned = False
                log.warning("copies will be slower: no pinned memory: %s", first_line(error))
        return torch.empty(shape, dtype=dtype)
