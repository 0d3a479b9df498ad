"""Row streaming: a network of stages that take the next rows of an image and give those of theirs.

A 3×3 layer needs one row beyond those it computes, so each stage lags a row behind the one before
and remembers two rows of its input; a skip connection remembers the rows its branch lags. Pushing
an image through from top to bottom gives what the whole image would, to float rounding: nothing is
computed twice, and memory grows with the width only. The working set of a few rows stays in a
processor's cache, where the layers of a whole image would not.

Rows are tensors (1, c, n, w) in channels_last, where n may be 0; `last` marks those that end an
image. A stage serves one image, after which it is used up.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from superres.geometry import Size
from superres.networks.streaming.packed_conv import Packed

Activation = Callable[[Tensor], Tensor]  # of its argument, possibly in place


class Stage(Protocol):
    """Part of a network for the rows of one image."""

    def push(self, rows: Tensor, last: bool) -> Tensor:
        """Return the rows of the result that are complete once `rows` have come."""
        ...


StageMaker = Callable[
    [Size], Stage
]  # of a network that is ready: its stages for one image of a size


def make_leaky_relu(slope: float) -> Activation:
    """Return the leaky rectifier, in place."""
    return lambda x: leaky_relu(x, slope, inplace=True)


def to_row_layout(x: Tensor) -> Tensor:
    """Return (1, c, n, w) in channels_last as contiguous (n, w, c)."""
    return x[0].permute(1, 2, 0)


def to_channel_layout(rows: Tensor) -> Tensor:
    """Contiguous (n, w, c) as (1, c, n, w) in channels_last."""
    return rows.permute(2, 0, 1)[None]


def _remember_rows(rows: Tensor, before: Tensor | None) -> Tensor:
    """Return a copy of `rows`, in the place of what was remembered before where it fits.

    New memory at every step, between what is freed again, would leave the heap full of holes.
    """
    if before is None or before.shape != rows.shape:
        return rows.clone()
    return before.copy_(rows)


class LineBuffer:
    """The rows that a 3×3 layer reads: two it has seen, the new ones, and zeros past the borders.

    `enlarge` repeats every pixel that many times in both directions on its way in.
    """

    def __init__(self, enlarge: int = 1) -> None:
        self.enlarge = enlarge
        self.previous: Tensor | None = None

    def slide(self, rows: Tensor, last: bool) -> Tensor:
        """Return (1, c, n + 2, w) for n rows of the result; n may be 0 or less."""
        n, width, channels = to_row_layout(rows).shape
        r = self.enlarge
        seen = rows.new_zeros(1, width * r, channels) if self.previous is None else self.previous
        top = len(seen)
        bottom = top + n * r
        window = rows.new_empty(bottom + last, width * r, channels)
        window[:top] = seen
        within = window[top:bottom].view(n, r, width, r, channels)
        within.copy_(to_row_layout(rows)[:, None, :, None].expand_as(within))
        if last:
            window[bottom:] = 0
        self.previous = _remember_rows(window[-2:], self.previous)
        return to_channel_layout(window)


class Convolution:
    """A 3×3 layer that keeps the size, and what follows it on each pixel alone."""

    def __init__(
        self, layer: Packed, activation: Activation | None = None, enlarge: int = 1
    ) -> None:
        self.layer = layer
        self.activation = activation
        self.window = LineBuffer(enlarge)

    def push(self, rows: Tensor, last: bool) -> Tensor:
        x = self.window.slide(rows, last)
        if x.shape[2] < 3:
            return x.new_empty(1, self.layer.layer.out_channels, 0, x.shape[3])
        y = self.layer(x)
        return self.activation(y) if self.activation else y


class Chain:
    """Stages one after the other.

    When an image ends, each stage has a row more to give than the one before. None is given more
    rows at a time than the first one was, so that the end of an image fits the caches, too.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.max_rows = 1  # rows that came at a time

    def push(self, rows: Tensor, last: bool) -> Tensor:
        self.max_rows = max(self.max_rows, rows.shape[2])
        for stage in self.stages:
            rows = _push_in_portions(stage, rows, last, self.max_rows)
        return rows


def _push_in_portions(stage: Stage, rows: Tensor, last: bool, most: int) -> Tensor:
    """Return what `stage` makes of `rows`, given at most `most` of them at a time."""
    if rows.shape[2] <= most:
        return stage.push(rows, last)
    parts = rows.split(most, 2)
    made = [
        stage.push(part, last and number == len(parts) - 1) for number, part in enumerate(parts)
    ]
    return to_channel_layout(torch.cat([to_row_layout(part) for part in made]))


class Delay:
    """Rows on their way around a branch that lags behind: first in, first out.

    They lie in one piece of memory, as large as was ever needed: rows of their own that come and go
    between what a step needs would leave the heap full of holes.
    """

    def __init__(self) -> None:
        self.memory = torch.empty(0)
        self.first = self.end = 0

    def __len__(self) -> int:
        return self.end - self.first

    def put(self, rows: Tensor) -> None:
        """Take rows (1, c, n, w)."""
        new = to_row_layout(rows)
        if self.memory.dim() < new.dim() or self.end + len(new) > len(self.memory):
            self.make_room(new)
        self.memory[self.end : self.end + len(new)] = new
        self.end += len(new)

    def make_room(self, new: Tensor) -> None:
        """Move what waits to the front, of larger memory where it must be."""
        waiting = self.memory[self.first : self.end]
        if self.memory.dim() < new.dim() or len(waiting) + len(new) > len(self.memory):
            self.memory = new.new_empty(len(waiting) + len(new), *new.shape[1:])
        elif self.first < len(waiting):
            waiting = waiting.clone()
        if len(waiting):
            self.memory[: len(waiting)] = waiting
        self.first, self.end = 0, len(waiting)

    def take(self, count: int) -> Tensor:
        """Return the oldest `count` rows, as they lie until more are put."""
        self.first += count
        return to_channel_layout(self.memory[self.first - count : self.first])


class Residual:
    """What went in, and `share` of what a branch made of it."""

    def __init__(self, branch: Stage, share: float = 1.0) -> None:
        self.branch = branch
        self.share = share
        self.delay = Delay()

    def push(self, rows: Tensor, last: bool) -> Tensor:
        self.delay.put(rows)
        made = self.branch.push(rows, last)
        return torch.add(self.delay.take(made.shape[2]), made, alpha=self.share)


class RowLimiter:
    """A stage that is given at most `most` rows at a time: large rows stay in the cache."""

    def __init__(self, stage: Stage, most: int) -> None:
        self.stage = stage
        self.max_rows = most

    def push(self, rows: Tensor, last: bool) -> Tensor:
        return _push_in_portions(self.stage, rows, last, self.max_rows)
