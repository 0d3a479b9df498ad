"""The shared Executor: reads Documents, calls the engine, writes Documents."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from docarray import Document, DocumentArray
from jina import Executor, requests

from executors import parent
from executors.admission import Room, Watch
from executors.models import Described, Served, load_faces, load_models
from executors.refusal import RequestFailed, causes
from executors.settings import read_settings
from executors.wire import Request, read_image, read_request, write_answer, write_error
from superres.catalogue import ROWS
from superres.diffusion import SPEC
from superres.errors import BadOption, Failed, Refused, SuperresError, TooLarge
from superres.pipeline import Answer, upscale

DESCRIBED: tuple[Described, ...] = (*ROWS, SPEC)
WORKERS = 4  # requests decoded and encoded at once; the network's turns are the Upscaler's


class UpscalerExecutor(Executor):
    """Answers `/upscale` with the models of one system.

    A subclass names its `system`; the catalogue says which models that is, and the first of them
    is the default. Every keyword is an operator option (executors/settings.py).
    """

    system: str

    def __init__(
        self,
        metas: dict[str, Any] | None = None,
        requests: dict[str, Any] | None = None,
        runtime_args: dict[str, Any] | None = None,
        workspace: str | None = None,
        dynamic_batching: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(metas, requests, runtime_args, workspace, dynamic_batching)
        # With `quiet_error`, Jina 3.34 logs an empty line for every refusal.
        name = getattr(self.runtime_args, "name", "")
        logging.getLogger(name).addFilter(lambda record: bool(record.getMessage()))
        try:
            self.settings = read_settings(options)
            self.guards = self.settings.guards
            self.models = self.load()
            self.faces = load_faces(self.models, self.settings)
        except SuperresError as error:
            self.logger.error(f"{self.system}: {error}")
            raise SystemExit(f"{self.system}: {error}") from None
        self.default = next(iter(self.models))
        self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=self.system)
        self.room = Room(self.settings.max_waiting)
        self.watches: dict[str, Watch] = {}
        parent.follow(busy=lambda: self.room.inside > 0)
        device = next(iter(self.models.values())).device
        self.logger.info(f"serving {', '.join(self.models)} on {device.device}")

    def load(self) -> Mapping[str, Served]:
        """The models by name, the default first. Raises Misconfigured."""
        return load_models(self.system, self.settings)

    @requests(on="/upscale")
    async def upscale(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Upscale every Document; a bad one never harms its neighbours.

        With one Document, or with the parameter `errors` = `raise`, a failure fails the request;
        else each failed Document comes back without a picture and with a tag `error`.
        """
        parameters = parameters or {}
        try:
            tagged = errors_as_tags(parameters, len(docs))
            self.check_count(docs)
            self.room.enter(len(docs))
        except SuperresError as error:
            raise self.failure(error) from None
        watch = Watch(self.settings.deadline_seconds)
        request_id = str(parameters.get("request_id"))
        self.watches[request_id] = watch
        try:
            await self.upscale_all(docs, parameters, tagged, watch)
        finally:
            self.room.leave(len(docs))
            self.watches.pop(request_id, None)
        return docs

    @requests(on="/progress")
    async def progress(self, parameters: dict[str, Any] | None = None, **_: Any) -> DocumentArray:
        """One Document: tiles `done` and `total` of the running request `request_id`."""
        request_id = str((parameters or {}).get("request_id"))
        watch = self.watches.get(request_id)
        done, total = watch.tiles() if watch else (0, 0)
        tags = {"known": watch is not None, "done": done, "total": total}
        return DocumentArray([Document(id=f"{request_id}/{self.system}", tags=tags)])

    @requests(on="/models")
    async def list_models(self, **_: Any) -> DocumentArray:
        """One Document per model that this Executor serves; its tags describe it."""
        return DocumentArray(
            Document(
                id=name,
                tags={
                    "name": name,
                    "scale": model.spec.scale,
                    "default": name == self.default,
                    "system": self.system,
                    "options": self.offered(model),
                },
            )
            for name, model in self.models.items()
        )

    def offered(self, model: Served) -> list[str]:
        """The model-specific options that work here."""
        without_faces = {"face_enhance"} if self.faces is None else set()
        return [option for option in model.spec.options if option not in without_faces]

    async def upscale_all(
        self, docs: DocumentArray, parameters: Mapping[str, Any], tagged: bool, watch: Watch
    ) -> None:
        """Upscale the Documents side by side; leave at once when the caller has gone."""
        loop = asyncio.get_running_loop()
        work = [
            loop.run_in_executor(self.pool, self.attempt, doc, parameters, watch) for doc in docs
        ]
        try:
            errors = await asyncio.gather(*work)
        except asyncio.CancelledError:
            watch.cancelled.set()
            raise
        for doc, error in zip(docs, errors, strict=True):
            if error is None:
                continue
            if not tagged:
                raise self.failure(error, doc.id) from None
            self.failure(error, doc.id)
            write_error(doc, error)

    def attempt(
        self, document: Document, parameters: Mapping[str, Any], watch: Watch
    ) -> SuperresError | None:
        """Upscale one Document in place; the error if that fails."""
        try:
            watch.check()
            request = read_request(document, parameters, self.settings.defaults)
            name, answer = self.answer(document, request, watch)
            write_answer(document, request, name, answer)
        except SuperresError as error:
            return error
        except Exception as error:
            self.logger.error(f"document {document.id}: unforeseen", exc_info=True)
            failed = Failed("the server failed on this picture; its log says why")
            failed.__cause__ = error
            return failed
        return None

    def answer(self, document: Document, request: Request, watch: Watch) -> tuple[str, Answer]:
        """The model's name and the finished picture for one request."""
        model = self.chosen(request)
        image = read_image(document, self.settings.limits, self.guards)
        watch.check()
        special = {n: v for n, v in request.special.items() if n in model.spec.options}
        faces = self.faces if special.pop("face_enhance", False) else None
        made = upscale(
            image,
            model.upscaler(**special),
            request.options,
            self.settings.max_output_pixels,
            partial(watch.note, document),
            faces,
        )
        return model.spec.name, made

    def chosen(self, request: Request) -> Served:
        """The model a request names, else the default, if it takes the request's options."""
        name = request.model or self.default
        if name not in self.models:
            raise BadOption("model", name, f"one of {', '.join(self.models)}", code="MODEL")
        model = self.models[name]
        if request.special.get("face_enhance") and self.faces is None:
            raise BadOption(
                "face_enhance", True, "false: this server loads no face model (face_model)"
            )
        for option, value in request.special.items():
            if option not in model.spec.options and value != self.settings.defaults.get(option):
                takers = [row.name for row in DESCRIBED if option in row.options]
                raise BadOption(
                    option, value, f"no value with model {name}; it works with {', '.join(takers)}"
                )
        return model

    def check_count(self, docs: DocumentArray) -> None:
        """Raise TooLarge where a request has more Documents than the operator allows."""
        if len(docs) > self.settings.max_documents:
            raise TooLarge(
                f"{len(docs)} Documents in one request: at most {self.settings.max_documents}",
                code="DOCUMENTS",
                allowed=f"at most {self.settings.max_documents}",
            )

    def failure(self, error: SuperresError, document: str | None = None) -> RequestFailed:
        """The exception that carries `error` to the caller, after one line in the log."""
        said = " <- ".join(f"{type(e).__name__}: {e}" for e in causes(error))
        # The gateway logs every refusal; what only the log may know is told here.
        level = self.logger.debug if isinstance(error, Refused) else self.logger.warning
        level(f"refused document {document}: {error.code}: {said}")
        return RequestFailed(error, document)

    def close(self) -> None:
        """Let running tiles end, then release the threads."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        super().close()


def errors_as_tags(parameters: Mapping[str, Any], documents: int) -> bool:
    """Whether failed Documents carry a tag, or the request fails: the parameter `errors`."""
    choice = parameters.get("errors")
    if choice not in (None, "tags", "raise"):
        raise BadOption("errors", choice, '"raise" or "tags"')
    return choice == "tags" or (choice is None and documents > 1)
