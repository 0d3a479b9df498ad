"""What a comparison measures, and how long it may take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.damages import DAMAGES
from evaluation.metrics import list_metrics

__all__ = ["CompareSettings", "make_quick"]

ALL_SCALES = (2, 3, 4, 8)
_SIDES = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class CompareSettings:
    """The command line's choices. Sides are in pixels, of square inputs."""

    output: Path
    images: tuple[Path, ...] = ()
    are_originals: bool = False  # `images` are reduced first, to be compared with the results
    models: tuple[str, ...] = ()  # none: every model whose weights are at hand
    scales: tuple[int, ...] = ALL_SCALES
    files: Mapping[str, Path] = field(default_factory=dict)  # weights by name of a model
    use_random_weights: bool = False
    device: str = "auto"
    precisions: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    limit: int = 0  # images of each set; 0: all
    damages: tuple[str, ...] = tuple(DAMAGES)
    metrics: tuple[str, ...] = field(default_factory=lambda: tuple(list_metrics()))
    sides: tuple[int, ...] = _SIDES
    max_seconds: float = 60.0  # of a cell: what would take longer is left out, and said
    max_memory_mb: int = 16 * 1024  # of the largest image
    clients: tuple[int, ...] = (1, 8)
    load_seconds: float = 5.0  # of each number of clients
    has_service: bool = True


def make_quick(settings: CompareSettings) -> CompareSettings:
    """Return settings that take less than two minutes on two cores, for a first look."""
    return CompareSettings(
        output=settings.output,
        images=settings.images[:1],
        are_originals=settings.are_originals,
        models=settings.models or ("bicubic_pp.x4", "compact.photo-x4", "lanczos.x4"),
        files=settings.files,
        use_random_weights=settings.use_random_weights,
        device=settings.device,
        precisions=settings.precisions,
        sets=settings.sets,
        limit=1,
        damages=settings.damages,
        metrics=settings.metrics,
        sides=(64, 128, 256),
        max_seconds=4.0,
        max_memory_mb=settings.max_memory_mb,
        load_seconds=1.0,
        has_service=settings.has_service,
    )
