"""What a Document's picture will take with its model, and the refusal of what never fits."""

from functools import partial
from typing import NamedTuple

from executors.admission.budget import Claim
from executors.admission.worker_pools import Lane, Lanes
from executors.document import Content, Request, measured
from superres.codecs.decode import READERS, Limits
from superres.codecs.encode import FORMATS
from superres.codecs.probe import Dimensions
from superres.errors import BadOption, TooLarge
from superres.estimation.cost import (
    Estimate,
    Workload,
    estimate_request,
    find_fitting_size,
    sum_host_bytes,
)
from superres.geometry import Size
from superres.image.size_expression import ScaleExpression
from superres.model_loader import LoadedModel

MEBIBYTE = 2**20
# A finished file is in the Document, twice in protobuf's message and once in gRPC's buffer.
COPIES = 4


class Demand(NamedTuple):
    """What a picture takes, and where it may have it; `held` and `shared` are those of a Claim."""

    needed: Estimate
    held: int
    shared: int
    lane: Lane
    image: Dimensions | None  # None where decoding tells what is wrong

    def claim(self) -> Claim:
        """A claim to the lane's memory. It must be released."""
        return self.lane.memory.claim(self.held, self.shared)

    def release(self, claim: Claim) -> None:
        """Give a claim back."""
        self.lane.memory.release(claim)


def demanded(
    request: Request,
    content: Content,
    limits: Limits,
    model: LoadedModel,
    lanes: Lanes,
    pace: float,
) -> Demand:
    """The demand of a picture that is not decoded yet, told by its header.

    `pace` is how slow the model is here. Raises what decoding would raise of the header, and
    TooLarge where it never fits.
    """
    image = measured(content, limits)
    if image is None:  # decoding tells what is wrong with the tensor
        return Demand(Estimate(0, 0, 0, 0), 0, 0, lanes.quick, None)
    encoded = len(content) if isinstance(content, bytes) else 0
    workload = describe_workload(request, encoded, image, model)
    needed = estimate_request(workload)
    alone = sum_host_bytes(needed, model.target)
    if alone > lanes.most:
        raise never(workload, model, alone, lanes.most)
    shared = alone - needed.host_bytes
    lane = lanes.lane(needed.host_bytes, shared, needed.at(pace))
    return Demand(needed, needed.host_bytes, shared, lane, image)


def describe_workload(
    request: Request, encoded: int, image: Dimensions, model: LoadedModel
) -> Workload:
    """Return the work that a request asks for; `encoded` is the size of its file in bytes."""
    options, scale = request.options, model.spec.scale
    reader = READERS.get(image.format)
    own = FORMATS[reader.answer if reader else "png"]
    return Workload(
        encoded,
        image,
        (options.image_format or own).name,
        scale,
        partial(model.estimate, tile=options.tile, overlap=options.overlap),
        target_of(options.scale, image.size, scale),
        bool(request.special.get("face_enhance")),
        COPIES,
    )


def target_of(expression: ScaleExpression | None, size: Size, scale: int) -> Size | None:
    """The size of the answer to a picture of `size`; None where it is the model's own.

    Whether the picture is to be turned is not known yet: the larger of both answers counts. A wrong
    expression is told later, when it is known.
    """
    if expression is None:
        return None
    found = []
    for one in (size, Size(size.height, size.width)):
        try:
            found.append(expression.bounded(one, one.times(scale)))
        except BadOption:
            continue
    return max(found, key=lambda one: one.pixels, default=None)


def never(workload: Workload, model: LoadedModel, alone: int, most: int) -> TooLarge:
    """The error of an image that takes `alone` bytes where one can have `most`."""
    size, frames = workload.image.size, workload.image.frames
    times = f" × {frames} frames" if frames > 1 else ""
    fits = find_fitting_size(workload, model.target, most)
    return TooLarge(
        f"a picture of {size}{times} needs about {alone // MEBIBYTE} MB of memory with "
        f"{model.spec.name} as {workload.format}: at most {most // MEBIBYTE} MB are there for one "
        "(host_memory_mb)",
        code="MEMORY",
        allowed=f"a picture of about {fits}, or less" if fits else "a model that needs less",
    )
