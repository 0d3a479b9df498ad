"""The Executor of a system: upscales the images of Documents with one of its models."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from docarray import Document, DocumentArray
from jina import requests

from contract.model_choice import Candidate, choose_model, is_automatic
from contract.problem import ProblemError
from contract.restoration import FACES, STEPS
from executors.admission.deadline import Deadline
from executors.admission.estimate import MemoryDemand, estimate_demand
from executors.base import DocumentExecutor, PreparedWork
from executors.document import (
    Content,
    UpscaleRequest,
    decode_content,
    read_content,
    read_request,
    write_answer,
)
from executors.served_models import load_faces, load_models, make_cost_meter, make_store, warm_up
from superres.catalogue import ROWS
from superres.catalogue.measured import find_quality
from superres.catalogue.restorers import RESTORERS
from superres.diffusion.spec import SPEC
from superres.errors import BadOption, BadSetting
from superres.estimation.calibration import PaceTracker
from superres.model_loader import LoadedModel, NetworkModel
from superres.model_spec import FACE_OPTIONS, ModelSpec
from superres.pipeline import Answer, upscale
from superres.restoration.chained_model import Blending, ChainedModel, make_chain

DESCRIBED: tuple[ModelSpec, ...] = (*ROWS, SPEC)


class PreparedRequest(NamedTuple):
    """A Document whose image is known but not decoded."""

    document: Document
    request: UpscaleRequest
    model: LoadedModel
    content: Content
    deadline: Deadline
    demand: MemoryDemand


class UpscalerExecutor(DocumentExecutor):
    """Answers `/upscale` with the models of one system.

    A subclass names its `system`; the catalogue says which models that is, and the first of them
    is the default. One that serves several systems also names them, the default's first.
    """

    systems: tuple[str, ...] = ()

    def begin_service(self) -> None:
        """Measure what models cost while nobody asks; say what is served."""
        self.costs = make_cost_meter(self.models, self.settings, self.pace_tracker, self.is_busy)
        device = next(iter(self.models.values())).device
        self.logger.info(f"serving {', '.join(self.models)} on {device.device}")

    def start_up(self) -> None:
        """Load the models. Raises Misconfigured."""
        self.pace_tracker = PaceTracker()
        self.models = self.load()
        self.faces = load_faces(self.models, self.settings)
        if self.settings.optimize != "none":
            warm_up(self.models, self.pace_tracker)
        self.default = next(iter(self.models))
        self.restorers: dict[str, NetworkModel] = {}  # loaded when a request needs them
        self.loading = threading.Lock()
        self.check_default_chain()

    def check_default_chain(self) -> None:
        """Check the steps that requests get by default. Raises BadSetting."""
        if self.settings.restore is None:
            return
        main = self.models[self.default]
        try:
            make_chain(self.settings.restore, main, self.faces, self.load_step, Blending())
        except BadOption as error:
            raise BadSetting(str(error), option="restore", allowed=error.allowed) from error

    def load(self) -> Mapping[str, LoadedModel]:
        """Return the models by name, the default first. Raises Misconfigured."""
        return load_models(self.systems or (self.system,), self.settings)

    @requests(on="/upscale")
    async def upscale(
        self, docs: DocumentArray, parameters: dict[str, Any] | None = None, **_: Any
    ) -> DocumentArray:
        """Upscale every Document."""
        return await self.answer_all(docs, parameters)

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

    def prepare(
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> PreparedWork:
        """Return the work with a Document: its options, model and image, not decoded."""
        asked = read_request(document, parameters, self.settings.defaults)
        request, model = self.find_model(asked)
        content = read_content(document, self.source_policy)
        pace = self.pace_tracker.get_pace(model.spec.name)
        demand = estimate_demand(
            request, content, self.settings.limits, model, self.worker_pools, pace
        )
        prepared = PreparedRequest(document, request, model, content, deadline, demand)
        return PreparedWork(deadline, demand, partial(self.finish, prepared))

    def finish(self, prepared: PreparedRequest) -> None:
        """Decode, enlarge, encode, and write the answer."""
        name = prepared.model.spec.name
        with self.admission.expect_work(
            prepared.demand.estimate.scale_seconds(self.pace_tracker.get_pace(name))
        ):
            made = self.answer(prepared)
        self.pace_tracker.learn(name, prepared.demand.estimate.model_seconds, made.cost.seconds)
        write_answer(prepared.document, prepared.request, name, made)

    def answer(self, prepared: PreparedRequest) -> Answer:
        """Upscale the image."""
        document, request, model, content, watch, demand = prepared
        special = {n: v for n, v in request.model_options.items() if n in model.spec.options}
        wants_faces = special.pop("face_enhance", False) and FACES not in request.restore
        faces = self.faces if wants_faces else None
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

    def find_model(self, asked: UpscaleRequest) -> tuple[UpscaleRequest, LoadedModel]:
        """Return a request with its model named, and that model with the steps around it.

        Raises BadOption where the model is not served or does not take the request's options.
        """
        request = self.resolve_model(asked)
        model = self.choose_model(request)
        if request.restore or request.strength < 1:
            model = self.chain_steps(model, request)
        self.check_options(model, request)
        return request, model

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
        preferred = request.preset_model if request.preset_model in self.models else None
        name = request.model or preferred or self.default
        if name not in self.models:
            raise BadOption("model", name, f"one of {', '.join(self.models)}", code="MODEL")
        model = self.models[name]
        if request.model_options.get("face_enhance") and self.faces is None:
            raise BadOption(
                "face_enhance", True, "false: this server loads no face model (face_model)"
            )
        return model

    def check_options(self, model: LoadedModel, request: UpscaleRequest) -> None:
        """Check that a request's options are those of its model. Raises BadOption."""
        for option, value in request.model_options.items():
            if option not in model.spec.options and value != self.settings.defaults.get(option):
                takers = [row.name for row in DESCRIBED if option in row.options]
                allowed = (
                    f"no value with model {model.spec.name}; it works with {', '.join(takers)}"
                )
                raise BadOption(option, value, allowed)
        strength = request.model_options.get("face_strength")
        is_own = strength != self.settings.defaults.get("face_strength")
        has_faces = request.model_options.get("face_enhance") or FACES in request.restore
        if is_own and not has_faces:
            raise BadOption("face_strength", strength, "no value without face_enhance=true")

    def chain_steps(self, main: LoadedModel, request: UpscaleRequest) -> ChainedModel:
        """Return the steps that a request asks for, around its model. Raises BadOption."""
        strength = request.model_options.get("face_strength")
        blending = Blending(request.strength, 1.0 if strength is None else strength)
        return make_chain(request.restore, main, self.faces, self.load_step, blending)

    def load_step(self, name: str) -> LoadedModel:
        """Return the model of a step of restoration. Raises BadOption."""
        if name in self.models:
            return self.models[name]
        if name not in RESTORERS:
            own = [n for n, model in self.models.items() if model.spec.scale == 1]
            raise BadOption("restore", name, f"one of {', '.join([*STEPS, *own])}")
        with self.loading:
            if name not in self.restorers:
                device = next(iter(self.models.values())).device
                store = make_store(self.settings)
                self.restorers[name] = NetworkModel(RESTORERS[name], device, store)
        return self.restorers[name]

    def close(self) -> None:
        """Stop measuring, let running tiles end, then release the threads."""
        self.costs.stop()
        super().close()
