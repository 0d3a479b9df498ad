"""The shared Executor: reads Documents, calls the engine, writes Documents."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from docarray import Document, DocumentArray
from jina import Executor, requests

from contract.model_choice import Candidate, choose_model, is_automatic
from contract.parent_watchdog import end_with_parent
from contract.problem import ProblemError
from executors.admission.deadline import Deadline, wait_for_memory
from executors.admission.estimate import MemoryDemand, estimate_demand
from executors.admission.memory_limit import choose_image_memory
from executors.admission.queue import AdmissionQueue
from executors.admission.worker_pools import WorkerPools, choose_worker_count
from executors.document import (
    Content,
    UpscaleRequest,
    decode_content,
    needs_fetch,
    read_content,
    read_request,
    write_answer,
    write_error,
)
from executors.error_response import RequestFailed, describe
from executors.served_models import load_faces, load_models, make_cost_meter, warm_up
from executors.server.closed_server import close_server
from executors.settings import read_settings
from superres.catalogue import ROWS
from superres.catalogue.measured import find_quality
from superres.diffusion.spec import SPEC
from superres.errors import (
    BadOption,
    BadSetting,
    Failed,
    Refused,
    SuperresError,
    TooLarge,
    list_causes,
)
from superres.estimation.calibration import PaceTracker
from superres.model_loader import LoadedModel
from superres.model_spec import FACE_OPTIONS, ModelSpec
from superres.pipeline import Answer, upscale

DESCRIBED: tuple[ModelSpec, ...] = (*ROWS, SPEC)


class PreparedRequest(NamedTuple):
    """A Document whose image is known but not decoded."""

    document: Document
    request: UpscaleRequest
    model: LoadedModel
    content: Content
    deadline: Deadline
    demand: MemoryDemand


class UpscalerExecutor(Executor):
    """Answers `/upscale` with the models of one system.

    A subclass names its `system`; the catalogue says which models that is, and the first of them
    is the default. One that serves several systems also names them, the default's first. Every
    keyword is an operator option (executors/settings.py).
    """

    system: str
    systems: tuple[str, ...] = ()

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
        self.pace_tracker = PaceTracker()
        try:
            self.settings = read_settings(options)
            self.close_port()
            self.source_policy = self.settings.source_policy
            self.models = self.load()
            self.faces = load_faces(self.models, self.settings)
            if self.settings.optimize != "none":
                warm_up(self.models, self.pace_tracker)
        except SuperresError as error:
            self.logger.error(f"{self.system}: {error}")
            raise SystemExit(f"{self.system}: {error}") from None
        self.default = next(iter(self.models))
        self.worker_pools = WorkerPools(
            choose_image_memory(self.settings.host_memory_mb),
            self.settings.workers or choose_worker_count(),
            self.system,
        )
        self.admission = AdmissionQueue(self.settings.max_waiting)
        self.deadlines: dict[str, Deadline] = {}
        end_with_parent(is_busy=self.is_busy)
        self.costs = make_cost_meter(self.models, self.settings, self.pace_tracker, self.is_busy)
        device = next(iter(self.models.values())).device
        self.logger.info(f"serving {', '.join(self.models)} on {device.device}")

    def is_busy(self) -> bool:
        """Return whether there are requests."""
        return self.admission.admitted > 0

    def close_port(self) -> None:
        """Close the server that Jina is about to start for this Executor, if one is.

        Raises:
            BadSetting: A runtime whose parts cannot be closed.
        """
        if getattr(self.runtime_args, "shards", 1) > 1:
            raise BadSetting(
                "shards: an image is not divided among Executors; use replicas", option="shards"
            )
        max_bytes = self.settings.max_request_mb * 2**20
        close_server(self.runtime_args, self.settings.keys, max_bytes)

    def load(self) -> Mapping[str, LoadedModel]:
        """Return the models by name, the default first. Raises Misconfigured."""
        return load_models(self.systems or (self.system,), self.settings)

    @requests(on="/upscale")
    async def upscale(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Upscale every Document; a bad one never harms its neighbours.

        With one Document, or with the parameter `errors` = `raise`, a failure fails the request;
        else each failed Document comes back without an image and with a tag `error`.
        """
        parameters = parameters or {}
        try:
            tagged = should_tag_errors(parameters, len(docs))
            self.check_count(docs)
            self.admission.admit(len(docs))
        except SuperresError as error:
            raise self.report_failure(error) from None
        watch = Deadline(self.settings.deadline_seconds)
        request_id = str(parameters.get("request_id"))
        self.deadlines[request_id] = watch
        try:
            await self.upscale_all(docs, parameters, tagged, watch)
        finally:
            self.admission.release(len(docs))
            self.deadlines.pop(request_id, None)
        return docs

    @requests(on="/progress")
    async def progress(self, parameters: dict[str, Any] | None = None, **_: Any) -> DocumentArray:
        """Return one Document: tiles `done` and `total` of the running request `request_id`."""
        request_id = str((parameters or {}).get("request_id"))
        watch = self.deadlines.get(request_id)
        done, total = watch.count_tiles() if watch else (0, 0)
        tags = {"known": watch is not None, "done": done, "total": total}
        return DocumentArray([Document(id=f"{request_id}/{self.system}", tags=tags)])

    @requests(on="/models")
    async def list_models(self, **_: Any) -> DocumentArray:
        """Return one Document per model that this Executor serves; its tags describe it."""
        return DocumentArray(
            Document(id=name, tags=self.describe_model(name)) for name in self.models
        )

    def describe_model(self, name: str) -> dict[str, Any]:
        """Return what /models tells of a model, by which people and model=auto choose."""
        model = self.models[name]
        spec, quality = model.spec, find_quality(name, model.spec.scale)
        return {
            "name": name,
            "scale": spec.scale,
            "default": name == self.default,
            "system": spec.system,
            "description": spec.description,
            "licence": spec.licence,
            "options": self.list_options(model),
            "quality": quality.model,
            "bicubic_quality": quality.bicubic,
            "cost": self.costs.find(name).as_tag(),
        }

    def list_options(self, model: LoadedModel) -> list[str]:
        """Return the model-specific options that work here."""
        missing = FACE_OPTIONS if self.faces is None else ()
        return [option for option in model.options if option not in missing]

    async def upscale_all(
        self, docs: DocumentArray, parameters: Mapping[str, Any], tagged: bool, deadline: Deadline
    ) -> None:
        """Upscale the Documents side by side; leave at once when the caller has gone."""
        try:
            errors = await asyncio.gather(
                *(self.try_upscale(doc, parameters, deadline) for doc in docs)
            )
        except asyncio.CancelledError:
            deadline.cancelled.set()
            raise
        for doc, error in zip(docs, errors, strict=True):
            if error is None:
                continue
            if not tagged:
                raise self.report_failure(error, doc.id) from None
            self.report_failure(error, doc.id)
            write_error(doc, error)

    async def try_upscale(
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> SuperresError | None:
        """Upscale one Document in place; the error if that fails."""
        elsewhere = needs_fetch(document)
        pool = self.worker_pools.readers if elsewhere else self.worker_pools.quick.pool
        begin = partial(self.begin, document, parameters, deadline, not elsewhere)
        try:
            waiting = await asyncio.get_running_loop().run_in_executor(pool, begin)
            if waiting is not None:
                await self.finish_when_granted(waiting)
        except SuperresError as error:
            return error
        except Exception as error:
            self.logger.error(f"document {document.id}: unforeseen", exc_info=True)
            failed = Failed("the server failed on this image; its log says why")
            failed.__cause__ = error
            return failed
        return None

    def begin(
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline, here: bool
    ) -> "PreparedRequest | None":
        """Do all of it if the image is small and there is memory now; return what is left to do.

        `here` says that this thread may do that.
        """
        deadline.check()
        prepared = self.prepare(document, parameters, deadline)
        if not here or prepared.demand.pool is not self.worker_pools.quick:
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
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> "PreparedRequest":
        """Return a Document's options, model and image, not decoded, and what it will take."""
        request = self.resolve_model(read_request(document, parameters, self.settings.defaults))
        model = self.choose_model(request)
        content = read_content(document, self.source_policy)
        pace = self.pace_tracker.get_pace(model.spec.name)
        demand = estimate_demand(
            request, content, self.settings.limits, model, self.worker_pools, pace
        )
        return PreparedRequest(document, request, model, content, deadline, demand)

    async def finish_when_granted(self, prepared: "PreparedRequest") -> None:
        """Finish in a thread of the image's pool, once there is memory for it."""
        demand = prepared.demand
        claim = demand.claim()
        try:
            await wait_for_memory(claim, prepared.deadline)
            work = demand.pool.pool.submit(self.finish, prepared)
        except BaseException:
            demand.release(claim)
            raise
        # A thread works on until it notices that nobody waits for it: its end is what counts.
        work.add_done_callback(lambda _: demand.release(claim))
        await asyncio.wrap_future(work)

    def finish(self, prepared: "PreparedRequest") -> None:
        """Decode, enlarge, encode, and write the answer."""
        prepared.deadline.check()
        name = prepared.model.spec.name
        with self.admission.expect_work(
            prepared.demand.estimate.scale_seconds(self.pace_tracker.get_pace(name))
        ):
            made = self.answer(prepared)
        self.pace_tracker.learn(name, prepared.demand.estimate.model_seconds, made.cost.seconds)
        write_answer(prepared.document, prepared.request, name, made)

    def answer(self, prepared: "PreparedRequest") -> Answer:
        """Upscale the image."""
        document, request, model, content, watch, demand = prepared
        special = {n: v for n, v in request.model_options.items() if n in model.spec.options}
        faces = self.faces if special.pop("face_enhance", False) else None
        strength = special.pop("face_strength", 1.0)
        # The pipeline lets go of the image it is given, which nobody else may hold.
        return upscale(
            decode_content(content, self.settings.limits, demand.image),
            model.upscaler(**special),
            replace(request.options, face_strength=strength),
            self.settings.max_output_pixels,
            partial(watch.note_progress, document),
            faces,
            demand.estimate.plan,
        )

    def resolve_model(self, request: UpscaleRequest) -> UpscaleRequest:
        """Return a request that leaves its model to the service with the one that is chosen."""
        if request.model is None or not is_automatic(request.model):
            return request
        candidates = [
            Candidate.from_tags(self.describe_model(name), is_default=name == self.default)
            for name in self.models
        ]
        try:
            choice = choose_model(request.model, candidates, frozenset(request.model_options))
        except ProblemError as error:
            problem = error.problem
            allowed = f"{problem.allowed}, or one of {', '.join(self.models)}"
            raise BadOption("model", request.model, allowed, code=problem.code) from error
        return replace(request, model=choice.model, choice=choice)

    def choose_model(self, request: UpscaleRequest) -> LoadedModel:
        """Return the model a request names, else the default, if it takes the request's options."""
        name = request.model or self.default
        if name not in self.models:
            raise BadOption("model", name, f"one of {', '.join(self.models)}", code="MODEL")
        model = self.models[name]
        if request.model_options.get("face_enhance") and self.faces is None:
            raise BadOption(
                "face_enhance", True, "false: this server loads no face model (face_model)"
            )
        for option, value in request.model_options.items():
            if option not in model.spec.options and value != self.settings.defaults.get(option):
                takers = [row.name for row in DESCRIBED if option in row.options]
                raise BadOption(
                    option, value, f"no value with model {name}; it works with {', '.join(takers)}"
                )
        strength = request.model_options.get("face_strength")
        is_own = strength != self.settings.defaults.get("face_strength")
        if is_own and not request.model_options.get("face_enhance"):
            raise BadOption("face_strength", strength, "no value without face_enhance=true")
        return model

    def check_count(self, docs: DocumentArray) -> None:
        """Raise TooLarge where a request has more Documents than the operator allows."""
        if len(docs) > self.settings.max_documents:
            raise TooLarge(
                f"{len(docs)} Documents in one request: at most {self.settings.max_documents}",
                code="DOCUMENTS",
                allowed=f"at most {self.settings.max_documents}",
            )

    def report_failure(self, error: SuperresError, document: str | None = None) -> RequestFailed:
        """Return the exception that carries `error` to the caller, after one line in the log."""
        said = " <- ".join(f"{type(e).__name__}: {e}" for e in list_causes(error))
        # The gateway logs every refusal; what only the log may know is told here.
        level = self.logger.debug if isinstance(error, Refused) else self.logger.warning
        level(f"refused document {document}: {error.code}: {said}")
        return RequestFailed(describe(error, document))

    def close(self) -> None:
        """Let running tiles end, then release the threads."""
        self.costs.stop()
        self.worker_pools.close()
        super().close()


def should_tag_errors(parameters: Mapping[str, Any], documents: int) -> bool:
    """Return whether failed Documents carry a tag, or the request fails: the parameter `errors`."""
    choice = parameters.get("errors")
    if choice not in (None, "tags", "raise"):
        raise BadOption("errors", choice, '"raise" or "tags"')
    return choice == "tags" or (choice is None and documents > 1)
