"""Executors of images made to a prompt, each with an upscaler for what was made."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from docarray import Document, DocumentArray
from jina import requests
from numpy.typing import NDArray

from executors.admission.deadline import Deadline
from executors.admission.estimate import MEBIBYTE, MemoryDemand, estimate_demand
from executors.base import PreparedWork
from executors.document import Content, decode_content, probe_content, read_content
from executors.generation.request import (
    GenerateRequest,
    read_generate_request,
    read_mask,
    read_pixels,
    write_generated,
)
from executors.served_models import make_device, make_store
from executors.upscaler import UpscalerExecutor
from superres.codecs.probe import Dimensions
from superres.errors import BadSetting, TooLarge
from superres.generation.generator import GeneratedImage, Generator
from superres.generation.refine import refine
from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.resample import resize_frame
from superres.image.size_expression import SizeExpression
from superres.inference.result import Progress
from superres.model_loader import LoadedModel
from superres.pipeline import OutputOptions, upscale_frame

_READ_BYTES = 24  # per pixel of an image that came: decoded, in sRGB, and its mask
_HALVES = 2  # progress: generating is the first half of the work, what follows the second


class GenerationJob(NamedTuple):
    """A Document on its way; `content` is the image that it brought, not decoded."""

    document: Document
    request: GenerateRequest
    model: LoadedModel
    deadline: Deadline
    size: Size  # of the image that is made
    content: Content | None = None
    measured: Dimensions | None = None


class GeneratorExecutor(UpscalerExecutor):
    """An upscaler with a generator beside it, which the setting `generator` names."""

    system = "compact"
    systems = ("compact", "bicubic_pp")

    def start_up(self) -> None:
        """Load the upscalers and the generator. Raises Misconfigured."""
        if self.settings.generator is None:
            allowed = "a folder as diffusers writes it, or owner/name@commit"
            raise BadSetting(f"generator: expected {allowed}", option="generator", allowed=allowed)
        super().start_up()
        device, store = make_device(self.settings), make_store(self.settings)
        self.generator = Generator(self.settings.generator, device, store)

    def plan_work(
        self, endpoint: str, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> PreparedWork:
        """Return the work with a Document; what cannot be done is refused before any of it."""
        asked = read_generate_request(endpoint, document, parameters, self.settings.defaults)
        _, model = self.find_model(asked.upscale)
        content = measured = None
        if endpoint != "/imagine":
            content = read_content(document, self.source_policy)
            measured = probe_content(content, self.settings.limits)
            if measured is None:  # decoding tells what is wrong with a tensor
                decode_content(content, self.settings.limits, None)
        size = self.choose_size(asked, measured.size if measured else None)
        self.generator.check(asked.sampling, Size(0, 0) if measured else size)
        job = GenerationJob(document, asked, model, deadline, size, content, measured)
        return PreparedWork(deadline, self.estimate(job), partial(self.generate, job))

    def choose_size(self, asked: GenerateRequest, given: Size | None) -> Size:
        """Return the size of the image that is made; `given` is that of the one that came. Raises
        TooLarge.
        """
        native = self.generator.native_side
        if given is None:
            size = Size(asked.width or native, asked.height or native)
        else:
            is_small = asked.endpoint == "/restyle"
            size = _fit_native(given, native) if is_small else given
        most = self.settings.max_generated_pixels
        if size.pixels > most:
            raise TooLarge(
                f"an image of {size} is made: at most {most} pixels are allowed "
                "(max_generated_pixels)",
                code="PIXELS",
                allowed=f"at most {most} pixels",
            )
        return size

    def estimate(self, job: GenerationJob) -> MemoryDemand:
        """Return what generating and enlarging takes. Raises TooLarge where it never fits."""
        canvas = np.broadcast_to(np.uint8(0), (job.size.height, job.size.width, 3))
        upscale = job.request.upscale
        demand = estimate_demand(
            upscale, canvas, self.settings.limits, job.model, self.worker_pools, 1.0
        )
        made = self.generator.estimate_bytes(job.size)
        device = self.generator.device
        room = device.free() if device.cuda else self.worker_pools.max_bytes
        if made > room:
            raise TooLarge(
                f"an image of {job.size} needs about {made // MEBIBYTE} MB with "
                f"{self.generator.name}: at most {room // MEBIBYTE} MB are there",
                code="MEMORY",
                allowed="a smaller width and height",
            )
        host = 0 if device.cuda else made
        read = job.measured.size.pixels * _READ_BYTES if job.measured else 0
        held = max(demand.held_bytes, host) + read
        return demand._replace(held_bytes=held, pool=self.worker_pools.slow)

    def generate(self, job: GenerationJob) -> None:
        """Make the image, enlarge and refine it where asked for, and write the answer."""
        started = time.perf_counter()
        made, result = self.make(job)
        record = {"model": job.model.spec.name, "seconds": round(time.perf_counter() - started, 3)}
        write_generated(job.document, job.request, self.generator.name, made, result, record)

    def make(self, job: GenerationJob) -> tuple[GeneratedImage, Frame]:
        """Return the image that is made and the result."""
        request, sampling = job.request, job.request.sampling
        first = self.note(job, 0)
        if job.content is None:
            made = self.generator.imagine(sampling, job.size, first)
        else:
            limits = self.settings.limits
            image = read_pixels(decode_content(job.content, limits, job.measured))
            if request.endpoint == "/restyle":
                return self.change_style(job, image, first)
            mask = read_mask(job.document, image.shape[:2], limits)
            made = self.generator.inpaint(image, mask, sampling, first)
        frame = Frame(made.pixels)
        options = request.upscale.options
        if request.enlarge:
            frame = upscale_frame(frame, job.model.upscaler(), options, self.note(job, 1))
        if request.refine:
            pixels = np.asarray(frame.colour, np.uint8)
            again = self.note(job, 1)
            frame = Frame(refine(pixels, self.generator, sampling, request.refine, again))
        return made, frame

    def change_style(
        self, job: GenerationJob, image: NDArray[np.uint8], progress: Progress
    ) -> tuple[GeneratedImage, Frame]:
        """Enlarge a small image to what the generator needs, change it, and return it in its own
        size, or in that of `scale`.
        """
        before = Frame(image)
        options, upscaler = job.request.upscale.options, job.model.upscaler()
        frame, size = before, _fit_native(before.size, self.generator.native_side)
        if size != before.size:
            most = before.size.times(upscaler.spec.scale)
            goal = f"{min(size.width, most.width)}:{min(size.height, most.height)}"
            enlarged = OutputOptions(scale=SizeExpression.parse(goal))
            frame = resize_frame(upscale_frame(before, upscaler, enlarged), size)
        pixels = np.ascontiguousarray(frame.colour, np.uint8)
        sampling, change = job.request.sampling, job.request.change
        made = self.generator.restyle(pixels, sampling, change, progress)
        target = options.scale.bounded(before.size, size) if options.scale else before.size
        return made, resize_frame(Frame(made.pixels), target)

    def note(self, job: GenerationJob, half: int) -> Progress:
        """Return what records the progress of one half of the work, and stops what nobody waits
        for.
        """

        def progress(done: int, total: int) -> None:
            job.deadline.note_progress(job.document, half * total + done, _HALVES * total)

        return progress


def _fit_native(size: Size, native: int) -> Size:
    """Return a size whose longer side is at least the one that a generator was trained on."""
    factor = max(1.0, native / max(size))
    return Size(*(max(1, round(side * factor)) for side in size))


class TextToImage(GeneratorExecutor):
    """Answers `/imagine`: a prompt becomes an image, which is enlarged and refined in one call."""

    @requests(on="/imagine")
    async def imagine(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Make an image to every Document's prompt."""
        return await self.answer_all(docs, parameters, partial(self.plan_work, "/imagine"))


class ImageToImage(GeneratorExecutor):
    """Answers `/restyle`, an image changed towards a prompt, and `/inpaint`, damaged areas made
    anew.
    """

    @requests(on="/restyle")
    async def restyle(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Change every Document's image."""
        return await self.answer_all(docs, parameters, partial(self.plan_work, "/restyle"))

    @requests(on="/inpaint")
    async def inpaint(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Make what lies under every Document's mask anew, then enlarge."""
        return await self.answer_all(docs, parameters, partial(self.plan_work, "/inpaint"))
