"""An Executor that answers what it gets: what is left is the cost of the way there and back."""

from docarray import DocumentArray
from jina import Executor, requests


class BenchmarkEcho(Executor):
    """Answers `/upscale` with its input."""

    @requests(on="/upscale")
    async def echo(self, docs: DocumentArray, **_: object) -> DocumentArray:
        """Return the Documents as they came."""
        return docs
