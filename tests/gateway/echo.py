"""An Executor small enough to see through: it echoes, refuses, breaks and sleeps."""

import asyncio
import json
from typing import Any

from jina import DocumentArray, Executor, requests


class RequestFailed(Exception):
    """What Executors raise to say something to the client: its argument is JSON."""


class Echo(Executor):
    @requests(on=["/echo", "/upscale"])
    def echo(self, docs: DocumentArray, parameters: dict[str, Any], **_: Any) -> None:
        for doc in docs:
            doc.tags["seen"] = len(doc.blob or b"")
            doc.tags["uri"] = doc.uri
            doc.tags["parameters"] = parameters

    @requests(on="/refuse")
    def refuse(self, **_: Any) -> None:
        fields = {
            "code": "SCALE_SYNTAX",
            "message": 'scale "800x600": expected "width:height"',
            "option": "scale",
            "allowed": "width:height",
            "status": 422,
        }
        raise RequestFailed(json.dumps(fields))

    @requests(on="/break")
    def fail(self, **_: Any) -> None:
        raise ZeroDivisionError("/secret/path")

    @requests(on="/sleep")
    async def sleep(self, docs: DocumentArray, parameters: dict[str, Any], **_: Any) -> None:
        await asyncio.sleep(float(parameters["seconds"]))
        for doc in docs:
            doc.tags["slept"] = True
