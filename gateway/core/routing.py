"""Which Executor answers a Document where several stand side by side in a Flow.

Jina sends every request to all branches, drops Documents that no branch wants, and copies images
for each. Here every Document goes to the one Executor that serves its `model`, past the graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contract.problem import Problem, make_error, quote

ENDPOINT = "/upscale"


class ServedModel(NamedTuple):
    """A model and where it is served."""

    model: str
    executor: str
    default: bool


class RoutedPart(NamedTuple):
    """What one Executor gets of a request: the places of its Documents."""

    executor: str
    places: list[int]


class Routes:
    """Models by name; the first Executor's default model is the Flow's."""

    def __init__(self, served: Sequence[ServedModel]) -> None:
        self.executors = {one.model: one.executor for one in reversed(served)}
        self.default = next(one.model for one in served if one.default)
        self.names = [one.model for one in served]

    def find_executor(self, tags: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
        """Return the Executor for a Document. Raises ProblemError for a model that nobody
        serves.
        """
        asked = tags.get("model")
        name = parameters.get("model") if asked is None else asked
        name = self.default if name is None else name
        if not isinstance(name, str) or name not in self.executors:
            allowed = f"one of {', '.join(self.names)}"
            message = f"model {quote(str(name))}: expected {allowed}"
            raise make_error("MODEL", message, option="model", allowed=allowed)
        return self.executors[name]


def group_by_executor(executors: Sequence[str | Problem]) -> list[RoutedPart]:
    """Return the Documents of each Executor, in the order of their first Document."""
    found: dict[str, list[int]] = {}
    for place, executor in enumerate(executors):
        if isinstance(executor, str):
            found.setdefault(executor, []).append(place)
    return [RoutedPart(executor, places) for executor, places in found.items()]


def should_tag_errors(parameters: Mapping[str, Any], documents: int) -> bool:
    """Return whether a failed Document gets a tag, as the Executors decide it; else the request
    fails.
    """
    choice = parameters.get("errors")
    return choice == "tags" or (choice is None and documents > 1)
