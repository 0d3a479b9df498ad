"""Which Executor answers a Document where several stand side by side in a Flow.

Jina sends every request to all branches, drops Documents that no branch wants, and copies images
for each. Here every Document goes to the one Executor that serves its `model`, past the graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jina.types.request.data import DataRequest

from contract.model_choice import Candidate, Choice, choose_model, is_automatic
from contract.options import REQUEST_OPTIONS
from contract.problem import Problem, make_error, quote
from contract.restoration import find_preset_model

ENDPOINT = "/upscale"


_MODEL_OPTIONS = {name: option for name, option in REQUEST_OPTIONS.items() if option.models}


class ServedModel(NamedTuple):
    """A model as /models tells of it, and where it is served."""

    executor: str
    tags: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.tags["name"])

    @property
    def is_settled(self) -> bool:
        """Whether its cost will not be told otherwise later."""
        return bool((self.tags.get("cost") or {"measured": True}).get("measured"))


class Route(NamedTuple):
    """The Executor for a Document; `choice` where the service has chosen the model."""

    executor: str
    choice: Choice | None = None


class RoutedPart(NamedTuple):
    """What one Executor gets of a request: the places of its Documents."""

    executor: str
    places: list[int]


class Routes:
    """Models by name; the first Executor's default model is the Flow's."""

    def __init__(self, served: Sequence[ServedModel]) -> None:
        self.executors = {one.name: one.executor for one in reversed(served)}
        self.default = next(one.name for one in served if one.tags.get("default"))
        self.names = [one.name for one in served]
        self.is_settled = all(one.is_settled for one in served)
        self._candidates = [
            Candidate.from_tags(one.tags, is_default=one.name == self.default) for one in served
        ]

    def find_route(self, tags: Mapping[str, Any], parameters: Mapping[str, Any]) -> Route:
        """Return the route of a Document. Raises ProblemError for a model that nobody serves."""
        asked = tags.get("model")
        name: Any = parameters.get("model") if asked is None else asked
        if name is None:
            preferred = find_preset_model(tags.get("restore", parameters.get("restore")))
            name = preferred if preferred in self.executors else self.default
        if is_automatic(name):
            options = frozenset(_list_model_options({**parameters, **tags}))
            choice = choose_model(name, self._candidates, options)
            return Route(self.executors[choice.model], choice)
        if not isinstance(name, str) or name not in self.executors:
            allowed = f"one of {', '.join(self.names)}"
            message = f"model {quote(str(name))}: expected {allowed}"
            raise make_error("MODEL", message, option="model", allowed=allowed)
        return Route(self.executors[name])


def _list_model_options(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the model-specific options that a request has."""
    for name, option in _MODEL_OPTIONS.items():
        if any(given.get(alias) not in (None, False, "false") for alias in option.names):
            yield name


def write_choices(documents: Sequence[Any], routes: Sequence[Route | Problem]) -> list[Any]:
    """Write the chosen models into Documents' tags; return what stood there, None for nothing."""
    before: list[Any] = []
    for document, route in zip(documents, routes, strict=True):
        # A protobuf Struct has no `get`.
        before.append(document.tags["model"] if "model" in document.tags else None)  # noqa: SIM401
        if isinstance(route, Route) and route.choice:
            document.tags["model"] = route.choice.model
    return before


def record_choices(
    documents: Sequence[Any], routes: Sequence[Route | Problem], before: Sequence[Any]
) -> None:
    """Undo `write_choices` in the answered Documents; their tag `upscale` says what was chosen."""
    for document, route, model in zip(documents, routes, before, strict=True):
        if not isinstance(route, Route) or route.choice is None:
            continue
        if model is None:
            del document.tags["model"]
        else:
            document.tags["model"] = model
        if "upscale" in document.tags:
            document.tags["upscale"].update({"chosen": route.choice.as_tag()})


def group_by_executor(routes: Sequence[Route | Problem]) -> list[RoutedPart]:
    """Return the Documents of each Executor, in the order of their first Document."""
    found: dict[str, list[int]] = {}
    for place, route in enumerate(routes):
        if isinstance(route, Route):
            found.setdefault(route.executor, []).append(place)
    return [RoutedPart(executor, places) for executor, places in found.items()]


def make_part_request(request: DataRequest, part: RoutedPart, marked: bool) -> DataRequest:
    """Return what of `request` goes to one Executor; alone or not, its Documents fail as in the
    whole.
    """
    made = DataRequest()
    made.header.request_id = request.header.request_id
    made.header.exec_endpoint = request.header.exec_endpoint
    made.parameters = dict(request.parameters) | {"errors": "tags" if marked else "raise"}
    documents = request.proto_with_data.data.docs.docs
    for place in part.places:
        made.proto_with_data.data.docs.docs.add().CopyFrom(documents[place])
    return made


def mark_failed(document: Any, problem: Problem) -> None:
    """Make a DocumentProto a failed one: no image, and a tag that says why."""
    for name in ("tensor", "uri", "blob"):
        document.ClearField(name)
    message = f"document {document.id}: {problem.message}"
    document.tags.update({"error": replace(problem, message=message).as_tag()})


def should_tag_errors(parameters: Mapping[str, Any], documents: int) -> bool:
    """Return whether a failed Document gets a tag, as the Executors decide it; else the request
    fails.
    """
    choice = parameters.get("errors")
    return choice == "tags" or (choice is None and documents > 1)
