"""The shared Executor: reads Documents, calls the engine, writes Documents."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from docarray import Document, DocumentArray
from jina import Executor, requests

from contract.parent_watchdog import end_with_parent
from executors.admission.deadline import Watch, granted
from executors.admission.estimate import Demand, demanded
from executors.admission.memory_limit import memory_for_pictures
from executors.admission.queue import Room
from executors.admission.worker_pools import Lanes, automatic_workers
from executors.document import (
    Content,
    Request,
    decoded,
    lies_elsewhere,
    read_content,
    read_request,
    write_answer,
    write_error,
)
from executors.error_response import RequestFailed, causes
from executors.served_models import load_faces, load_models, warm_up
from executors.settings import read_settings
from superres.catalogue import ROWS
from superres.diffusion.spec import SPEC
from superres.errors import BadOption, Failed, Refused, SuperresError, TooLarge
from superres.estimation.calibration import Pace
from superres.model_loader import LoadedModel
from superres.model_spec import ModelSpec
from superres.pipeline import Answer, upscale

DESCRIBED: tuple[ModelSpec, ...] = (*ROWS, SPEC)


class Prepared(NamedTuple):
    """A Document whose picture is known but not decoded."""

    document: Document
    request: Request
    model: LoadedModel
    content: Content
    watch: Watch
    demand: Demand


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
        self.pace = Pace()
        try:
            self.settings = read_settings(options)
            self.guards = self.settings.guards
            self.models = self.load()
            self.faces = load_faces(self.models, self.settings)
            if self.settings.optimize != "none":
                warm_up(self.models, self.pace)
        except SuperresError as error:
            self.logger.error(f"{self.system}: {error}")
            raise SystemExit(f"{self.system}: {error}") from None
        self.default = next(iter(self.models))
        self.lanes = Lanes(
            memory_for_pictures(self.settings.host_memory_mb),
            self.settings.workers or automatic_workers(),
            self.system,
        )
        self.room = Room(self.settings.max_waiting)
        self.watches: dict[str, Watch] = {}
        end_with_parent(is_busy=lambda: self.room.inside > 0)
        device = next(iter(self.models.values())).device
        self.logger.info(f"serving {', '.join(self.models)} on {device.device}")

    def load(self) -> Mapping[str, LoadedModel]:
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

    def offered(self, model: LoadedModel) -> list[str]:
        """The model-specific options that work here."""
        without_faces = {"face_enhance"} if self.faces is None else set()
        return [option for option in model.spec.options if option not in without_faces]

    async def upscale_all(
        self, docs: DocumentArray, parameters: Mapping[str, Any], tagged: bool, watch: Watch
    ) -> None:
        """Upscale the Documents side by side; leave at once when the caller has gone."""
        try:
            errors = await asyncio.gather(*(self.attempt(doc, parameters, watch) for doc in docs))
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

    async def attempt(
        self, document: Document, parameters: Mapping[str, Any], watch: Watch
    ) -> SuperresError | None:
        """Upscale one Document in place; the error if that fails."""
        elsewhere = lies_elsewhere(document)
        pool = self.lanes.readers if elsewhere else self.lanes.quick.pool
        begin = partial(self.begin, document, parameters, watch, not elsewhere)
        try:
            waiting = await asyncio.get_running_loop().run_in_executor(pool, begin)
            if waiting is not None:
                await self.finish_in_turn(waiting)
        except SuperresError as error:
            return error
        except Exception as error:
            self.logger.error(f"document {document.id}: unforeseen", exc_info=True)
            failed = Failed("the server failed on this picture; its log says why")
            failed.__cause__ = error
            return failed
        return None

    def begin(
        self, document: Document, parameters: Mapping[str, Any], watch: Watch, here: bool
    ) -> "Prepared | None":
        """What is left to do, after all of it if the picture is small and there is memory now.

        `here` says that this thread may do that.
        """
        watch.check()
        prepared = self.prepare(document, parameters, watch)
        if not here or prepared.demand.lane is not self.lanes.quick:
            return prepared
        claim = prepared.demand.claim()
        try:
            if not claim.granted.done():
                return prepared
            self.finish(prepared)
        finally:
            prepared.demand.release(claim)
        return None

    def prepare(
        self, document: Document, parameters: Mapping[str, Any], watch: Watch
    ) -> "Prepared":
        """A Document's options, model and picture, not decoded, and what it will take."""
        request = read_request(document, parameters, self.settings.defaults)
        model = self.chosen(request)
        content = read_content(document, self.guards)
        pace = self.pace.of(model.spec.name)
        demand = demanded(request, content, self.settings.limits, model, self.lanes, pace)
        return Prepared(document, request, model, content, watch, demand)

    async def finish_in_turn(self, prepared: "Prepared") -> None:
        """Finish in a thread of the picture's lane, once there is memory for it."""
        demand = prepared.demand
        claim = demand.claim()
        try:
            await granted(claim, prepared.watch)
            work = demand.lane.pool.submit(self.finish, prepared)
        except BaseException:
            demand.release(claim)
            raise
        # A thread works on until it notices that nobody waits for it: its end is what counts.
        work.add_done_callback(lambda _: demand.release(claim))
        await asyncio.wrap_future(work)

    def finish(self, prepared: "Prepared") -> None:
        """Decode, enlarge, encode, and write the answer."""
        prepared.watch.check()
        name = prepared.model.spec.name
        with self.room.expecting(prepared.demand.needed.at(self.pace.of(name))):
            made = self.answer(prepared)
        self.pace.note(name, prepared.demand.needed.model_seconds, made.cost.seconds)
        write_answer(prepared.document, prepared.request, name, made)

    def answer(self, prepared: "Prepared") -> Answer:
        """The finished picture."""
        document, request, model, content, watch, demand = prepared
        special = {n: v for n, v in request.special.items() if n in model.spec.options}
        faces = self.faces if special.pop("face_enhance", False) else None
        # The pipeline lets go of the picture it is given, which nobody else may hold.
        return upscale(
            decoded(content, self.settings.limits, demand.image),
            model.upscaler(**special),
            request.options,
            self.settings.max_output_pixels,
            partial(watch.note, document),
            faces,
            demand.needed.plan,
        )

    def chosen(self, request: Request) -> LoadedModel:
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
        self.lanes.close()
        super().close()


def errors_as_tags(parameters: Mapping[str, Any], documents: int) -> bool:
    """Whether failed Documents carry a tag, or the request fails: the parameter `errors`."""
    choice = parameters.get("errors")
    if choice not in (None, "tags", "raise"):
        raise BadOption("errors", choice, '"raise" or "tags"')
    return choice == "tags" or (choice is None and documents > 1)
