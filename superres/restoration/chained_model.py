"""A chain as a model: what it takes, and an Upscaler for a request's options."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from contract.restoration import FACES, STEPS, UPSCALE
from superres.errors import BadOption
from superres.estimation.cost import ExecutionTarget, NetworkCost
from superres.faces.enhancer import FaceEnhancer
from superres.geometry import Size
from superres.model_loader import LoadedModel
from superres.model_spec import FACE_OPTIONS, ModelSpec, Speed
from superres.restoration.chained_upscaler import ChainedUpscaler, ChainLink

__all__ = ["Blending", "ChainStep", "ChainedModel", "make_chain"]

_SPEC = ModelSpec(
    name="restoration",
    system="restoration",
    scale=1,
    weights=(),
    description="restoration at the image's own size",
    speed=Speed.MEDIUM,
    overlap=0,
    seconds_per_megapixel=0,
)
_BYTES_BETWEEN = 2 * 3 * 2  # of a pixel: colours of 16 bits, before and after a step
_FACE_SECONDS = 3.0  # of an image, on two cores


class ChainStep(NamedTuple):
    """A step by its name in the chain, and what does it."""

    name: str
    model: LoadedModel | None = None
    faces: FaceEnhancer | None = None


@dataclass(frozen=True)
class Blending:
    """How much of a result counts, 0..1: of all of it, and of restored faces."""

    strength: float = 1.0
    face_strength: float = 1.0


class ChainedModel(LoadedModel):
    """Some steps, of which one may be a model that enlarges."""

    def __init__(self, steps: Sequence[ChainStep], main: LoadedModel, blending: Blending) -> None:
        self.steps = tuple(steps)
        self.main = main
        self.blending = blending
        self.device = main.device
        enlarges = any(step.name == UPSCALE for step in steps)
        spec = main.spec if enlarges else _SPEC
        added = FACE_OPTIONS if any(step.faces for step in steps) else ()
        self.spec = replace(spec, options=tuple(dict.fromkeys((*spec.options, *added))))

    @property
    def target(self) -> ExecutionTarget:
        """Where the networks run, for estimates."""
        return self.main.target

    def estimate(self, size: Size, tile: int = 0, overlap: int | None = None) -> NetworkCost:
        """Estimate what the steps take: one at a time, the image between them."""
        host = device = rows = 0
        seconds, plan, now = 0.0, None, size
        for step in self.steps:
            if step.model is None:
                seconds += _FACE_SECONDS
                rows = size.height
            else:
                is_main = step.model is self.main
                cost = step.model.estimate(now, tile, overlap if is_main else None)
                host, device = max(host, cost.host_bytes), max(device, cost.device_bytes)
                seconds, rows = seconds + cost.seconds, cost.rows
                plan = cost.plan if is_main and now == size else plan
                now = now.times(step.model.spec.scale)
        between = now if self.steps[-1].model is None else size
        held = (size.pixels + between.pixels) * _BYTES_BETWEEN
        return NetworkCost(host + held, device, seconds, rows, plan)

    def upscaler(self, **options: Any) -> ChainedUpscaler:
        """Return an Upscaler with the options of the model that enlarges. Raises BadOption."""
        links = [
            ChainLink(step.name, faces=step.faces)
            if step.model is None
            else ChainLink(
                step.name,
                step.model.upscaler(**(options if step.model is self.main else {})),
                is_main=step.model is self.main,
            )
            for step in self.steps
        ]
        blending = self.blending
        return ChainedUpscaler(
            links, self.spec, self.device, blending.strength, blending.face_strength
        )


def make_chain(
    steps: Sequence[str],
    main: LoadedModel,
    faces: FaceEnhancer | None,
    load: Callable[[str], LoadedModel],
    blending: Blending,
) -> ChainedModel:
    """Make a model of steps.

    Args:
        steps: As contract.restoration.read_chain gives them; none is the enlargement alone.
        main: The model that enlarges.
        faces: What restores faces, where that is loaded.
        load: Returns the model of another step, by its name. Raises BadOption.
        blending: How much of the result counts.

    Returns:
        The model.

    Raises:
        BadOption: A step is unknown, has no model, or does not keep the size.
    """
    made = []
    for name in steps or (UPSCALE,):
        if name == UPSCALE:
            made.append(ChainStep(name, main))
        elif name == FACES:
            if faces is None:
                allowed = "steps without faces: no face model is loaded (face_model)"
                raise BadOption("restore", name, allowed)
            made.append(ChainStep(name, faces=faces))
        else:
            model = load(name)
            if model.spec.scale != 1:
                allowed = (
                    f"{', '.join(STEPS)} or a model that keeps the size, not x{model.spec.scale}"
                )
                raise BadOption("restore", name, allowed)
            made.append(ChainStep(name, model))
    return ChainedModel(made, main, blending)
