"""The Executor of `/degrade`: low-resolution copies of images, to train and to test with."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from docarray import Document, DocumentArray
from jina import requests

from executors.admission.deadline import Deadline
from executors.admission.estimate import MemoryDemand, estimate_degrading
from executors.base import DocumentExecutor, PreparedWork
from executors.document import (
    Content,
    DegradeRequest,
    decode_content,
    read_content,
    read_degrade_request,
    write_degraded,
)
from superres.degrade import degrade_image


class Degrader(DocumentExecutor):
    """Answers `/degrade`: blur, noise and compression by a recipe and a seed."""

    system = "degrade"

    @requests(on="/degrade")
    async def degrade(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Degrade every Document."""
        return await self.answer_all(docs, parameters)

    def prepare(
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> PreparedWork:
        """Return the work with a Document: its options and image, not decoded."""
        request = read_degrade_request(document, parameters, self.settings.defaults)
        content = read_content(document, self.source_policy)
        demand = estimate_degrading(content, self.settings.limits, self.worker_pools)
        work = partial(self.finish, document, request, content, demand)
        return PreparedWork(deadline, demand, work)

    def finish(
        self, document: Document, request: DegradeRequest, content: Content, demand: MemoryDemand
    ) -> None:
        """Decode, degrade, encode, and write the answer."""
        image = decode_content(content, self.settings.limits, demand.image)
        made = degrade_image(image, request.options, request.image_format, request.effort)
        write_degraded(document, request, made)
