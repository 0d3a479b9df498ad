"""An Executor small enough to see through: it echoes, refuses, breaks and sleeps."""

import asyncio
import json
from typing import Any

from jina import Document, DocumentArray, Executor, requests


class RequestFailed(Exception):
    """What Executors raise to say something to the client: its argument is JSON."""


class Echo(Executor):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.steps: dict[str, tuple[int, int]] = {}

    @requests(on="/echo")
    def echo(self, docs: DocumentArray, parameters: dict[str, Any], **_: Any) -> None:
        for doc in docs:
            doc.tags["seen"] = len(doc.blob or b"")
            doc.tags["uri"] = doc.uri
            doc.tags["parameters"] = parameters

    @requests(on="/upscale")
    async def upscale(self, docs: DocumentArray, parameters: dict[str, Any], **_: Any) -> None:
        """Echoes images after `steps` of 0.2 s each; the model `none` takes no image."""
        self.echo(docs, parameters)
        for doc in docs:
            total = int(doc.tags.get("steps", 0))
            for done in range(total):
                self.steps[parameters["request_id"]] = (done, total)
                await asyncio.sleep(0.2)
            if doc.tags.get("model") == "none":
                doc.blob = None
                doc.tags["error"] = {"code": "MODEL", "message": "none", "option": "model"}
            doc.mime_type = "image/png"
            doc.tags["upscale"] = {"model": "é", "input_size": [3, 2], "seconds": 0.5}

    @requests(on="/progress")
    def progress(self, parameters: dict[str, Any], **_: Any) -> DocumentArray:
        done, total = self.steps.get(parameters["request_id"], (0, 0))
        return DocumentArray([Document(tags={"done": done, "total": total, "known": total > 0})])

    @requests(on="/models")
    def models(self, **_: Any) -> DocumentArray:
        tags = {"system": "echo", "options": ["steps"]}
        names = {"echo.x2": 2, "echo.x4": 4}
        return DocumentArray(
            Document(tags=tags | {"name": name, "scale": scale, "default": scale == 2})
            for name, scale in names.items()
        )

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
