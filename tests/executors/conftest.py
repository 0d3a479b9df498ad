"""One Executor with the embedded default, called as Jina calls it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import pytest
from docarray import Document, DocumentArray
from PIL import Image

from executors.error_response import RequestFailed
from executors.systems import BicubicPP
from tests.inputs import png


class Caller:
    """Sends Documents to an Executor."""

    def __init__(self, executor: BicubicPP) -> None:
        self.executor = executor

    def many(self, docs: list[Document], **parameters: Any) -> DocumentArray:
        """The answers to several Documents in one request."""
        return asyncio.run(self.executor.upscale(DocumentArray(docs), parameters=parameters))

    def one(self, document: Document, **parameters: Any) -> Document:
        """The answer to one Document."""
        return self.many([document], **parameters)[0]

    def refusal(self, document: Document, **parameters: Any) -> Mapping[str, Any]:
        """What a request that must fail is told."""
        with pytest.raises(RequestFailed) as caught:
            self.one(document, **parameters)
        told: dict[str, Any] = json.loads(str(caught.value))
        return told


def opened(document: Document) -> Image.Image:
    """The image in an answer, read by Pillow."""
    picture = Image.open(BytesIO(document.blob))
    picture.load()
    return picture


@pytest.fixture(scope="session")
def executor() -> BicubicPP:
    """Bicubic++ x3 and x2 with tight limits."""
    return BicubicPP(
        models=["bicubic_pp.x3", "bicubic_pp.x2"],
        device="cpu",
        offline=True,
        max_input_pixels=400_000,
        max_input_mb=4,
        max_documents=8,
    )


@pytest.fixture(scope="session")
def caller(executor: BicubicPP) -> Caller:
    return Caller(executor)


@pytest.fixture(scope="session")
def good_answer(caller: Caller) -> bytes:
    """What a good request is answered before anything bad was sent."""
    return caller.one(Document(blob=png(), tags={"image_format": "png"})).blob


@pytest.fixture
def alive(caller: Caller, good_answer: bytes) -> Iterator[None]:
    """After the test, a good request gives the same bytes as before."""
    yield
    assert caller.one(Document(blob=png(), tags={"image_format": "png"})).blob == good_answer
