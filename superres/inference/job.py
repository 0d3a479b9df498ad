"""An image under way: how far it is, whom to tell, and what it has cost."""

from dataclasses import dataclass, field

from superres.geometry import Size
from superres.image.frame import Pixels
from superres.inference.planning import Plan
from superres.inference.result import Cost, Progress


@dataclass
class FrameJob:
    """One image. `done` counts the rows of the result that were given out."""

    pixels: Pixels
    progress: Progress
    cost: Cost = field(default_factory=Cost)
    rows_done: int = 0
    parts: int = 0
    total: int = 0

    @property
    def size(self) -> Size:
        """Of the input."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    def begin(self, plan: Plan, total: int) -> None:
        """Begin a plan, of which `total` parts follow."""
        self.parts, self.total = 0, total
        self.cost.tiles = len(plan.tiles)
        self.cost.overlap = plan.overlap
        self.cost.computed += plan.computed

    def finish_part(self, seconds: float) -> None:
        """Count one more part as done, and tell the progress."""
        self.cost.seconds += seconds
        self.parts += 1
        self.progress(self.parts, self.total)
