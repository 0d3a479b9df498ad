"""What a Document's image will take with its model, and the refusal of what never fits."""

from functools import partial
from typing import NamedTuple

from executors.admission.budget import MemoryClaim
from executors.admission.worker_pools import WorkerPool, WorkerPools
from executors.document import Content, UpscaleRequest, probe_content
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
from superres.image.size_expression import SizeExpression
from superres.model_loader import LoadedModel

MEBIBYTE = 2**20
# A finished file is in the Document, twice in protobuf's message and once in gRPC's buffer.
COPIES = 4
_DEGRADE_BYTES = 190  # per pixel: 164 of the recipe that needs the most, and the decoder's
_DEGRADE_SECONDS = 1.0  # per megapixel, of the slowest recipe


class MemoryDemand(NamedTuple):
    """What an image takes, and where it may have it; `held` and `shared` are those of a
    MemoryClaim.
    """

    estimate: Estimate
    held_bytes: int
    shared_bytes: int
    pool: WorkerPool
    image: Dimensions | None  # None where decoding tells what is wrong

    def claim(self) -> MemoryClaim:
        """Claim the pool's memory. It must be released."""
        return self.pool.memory.claim(self.held_bytes, self.shared_bytes)

    def release(self, claim: MemoryClaim) -> None:
        """Give a claim back."""
        self.pool.memory.release(claim)


def estimate_demand(
    request: UpscaleRequest,
    content: Content,
    limits: Limits,
    model: LoadedModel,
    pools: WorkerPools,
    pace: float,
) -> MemoryDemand:
    """Return the demand of an image that is not decoded yet, told by its header.

    `pace` is how slow the model is here. Raises what decoding would raise of the header, and
    TooLarge where it never fits.
    """
    image = probe_content(content, limits)
    if image is None:  # decoding tells what is wrong with the tensor
        return MemoryDemand(Estimate(0, 0, 0, 0), 0, 0, pools.quick, None)
    encoded = len(content) if isinstance(content, bytes) else 0
    workload = _describe_workload(request, encoded, image, model)
    needed = estimate_request(workload)
    alone = sum_host_bytes(needed, model.target)
    if alone > pools.max_bytes:
        raise _make_memory_error(workload, model, alone, pools.max_bytes)
    shared = alone - needed.host_bytes
    pool = pools.choose_pool(needed.host_bytes, shared, needed.scale_seconds(pace))
    return MemoryDemand(needed, needed.host_bytes, shared, pool, image)


def estimate_degrading(content: Content, limits: Limits, pools: WorkerPools) -> MemoryDemand:
    """Return the demand of an image that is to be degraded, told by its header.

    Raises what decoding would raise of the header, and TooLarge where it never fits.
    """
    image = probe_content(content, limits)
    if image is None:  # decoding tells what is wrong with the tensor
        return MemoryDemand(Estimate(0, 0, 0, 0), 0, 0, pools.quick, None)
    encoded = len(content) if isinstance(content, bytes) else 0
    needed = encoded + image.size.pixels * _DEGRADE_BYTES
    if needed > pools.max_bytes:
        most = pools.max_bytes // _DEGRADE_BYTES
        raise TooLarge(
            f"an image of {image.size} needs about {needed // MEBIBYTE} MB of memory: at most "
            f"{pools.max_bytes // MEBIBYTE} MB are there for one (host_memory_mb)",
            code="MEMORY",
            allowed=f"at most {most} pixels",
        )
    seconds = image.size.pixels / 1e6 * _DEGRADE_SECONDS
    pool = pools.choose_pool(needed, 0, seconds)
    return MemoryDemand(Estimate(needed, 0, seconds, 0), needed, 0, pool, image)


def _describe_workload(
    request: UpscaleRequest, encoded: int, image: Dimensions, model: LoadedModel
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
        estimate_target(options.scale, image.size, scale),
        bool(request.model_options.get("face_enhance")),
        COPIES,
    )


def estimate_target(expression: SizeExpression | None, size: Size, scale: int) -> Size | None:
    """Return the size of the answer to an image of `size`; None where it is the model's own.

    Whether the image is to be turned is not known yet: the larger of both answers counts. A wrong
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


def _make_memory_error(workload: Workload, model: LoadedModel, alone: int, most: int) -> TooLarge:
    """Return the error of an image that takes `alone` bytes where one can have `most`."""
    size, frames = workload.image.size, workload.image.frames
    times = f" × {frames} frames" if frames > 1 else ""
    fits = find_fitting_size(workload, model.target, most)
    return TooLarge(
        f"an image of {size}{times} needs about {alone // MEBIBYTE} MB of memory with "
        f"{model.spec.name} as {workload.format}: at most {most // MEBIBYTE} MB are there for one "
        "(host_memory_mb)",
        code="MEMORY",
        allowed=f"an image of about {fits}, or less" if fits else "a model that needs less",
    )
