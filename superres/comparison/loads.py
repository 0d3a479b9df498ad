"""Loads of the service: each model of a running Flow, with one client and with several."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from superres.comparison.cells import CellKey, CellStore, NotMeasured, Values
from superres.comparison.contenders import BICUBIC, Contender
from superres.comparison.measuring.service import SIDE, RunningFlow, run_flow
from superres.comparison.settings import CompareSettings

__all__ = ["PLACE", "Load", "list_loads", "measure_loads"]

PLACE = "service"
_OTHER_SECONDS = 1.0


class Load(NamedTuple):
    """A model and how many clients ask for it at the same time."""

    contender: Contender
    clients: int
    seconds: float  # after which no client asks again

    @property
    def key(self) -> CellKey:
        """The cell's name."""
        return CellKey("service", self.contender.name, PLACE, f"{self.clients} clients")

    @property
    def expected_seconds(self) -> float:
        """What it takes, until the last answer."""
        return self.seconds + _OTHER_SECONDS + self.answer_seconds

    @property
    def answer_seconds(self) -> float:
        """What one photo of every client takes."""
        return self.contender.seconds_per_megapixel * SIDE * SIDE / 1e6 * self.clients

    def find_obstacle(self, max_seconds: float) -> str | None:
        """Return why it cannot be measured, None where it can."""
        if not self.contender.is_servable:
            return (
                "its file is not the publisher's: the service has such a model under another name"
            )
        if self.answer_seconds <= max_seconds:
            return None
        return (
            f"about {self.answer_seconds:.0f} s expected for one photo of every client, "
            f"more than {max_seconds:.0f} s"
        )

    def measure(self, flow: RunningFlow) -> Values:
        """Measure it. Raises NotMeasured."""
        return flow.measure(self.contender.name, self.clients, self.seconds)


def list_loads(settings: CompareSettings, contenders: Sequence[Contender]) -> list[Load]:
    """Return the loads of the models that have weights, in their order; none without service."""
    served = [c for c in contenders if c.system != BICUBIC and c.has_weights]
    return [
        Load(contender, clients, settings.load_seconds)
        for contender in (served if settings.has_service else ())
        for clients in settings.clients
    ]


def measure_loads(
    loads: Sequence[Load], store: CellStore, machine: Mapping[str, Any], max_seconds: float
) -> Iterator[Load]:
    """Measure loads in one Flow; yield each when it is done or left out.

    The Flow is not started where all are kept from an earlier run.

    Args:
        loads: As `list_loads` returns them.
        store: Where cells are kept.
        machine: What evaluation.machine tells.
        max_seconds: Of one photo of every client.

    Yields:
        Load: What is done or left out now.
    """
    inputs = {
        load: {
            "weights": load.contender.fingerprint,
            "processor": machine["processor"],
            "device": machine["device"],
            "seconds": load.seconds,
        }
        for load in loads
    }
    missing = [load for load in loads if store.find_kept(load.key, inputs[load]) is None]
    reasons = {load: load.find_obstacle(max_seconds) for load in missing}
    missing = [load for load in missing if reasons[load] is None]
    for load in loads:
        if load not in missing:
            store.measure(load.key, inputs[load], partial(_fail, str(reasons.get(load))))
            yield load
    try:
        if missing:
            with run_flow(list(dict.fromkeys(load.contender for load in missing))) as flow:
                while missing:
                    load = missing.pop(0)
                    work = partial(load.measure, flow)
                    store.measure(load.key, inputs[load], work)
                    yield load
    except NotMeasured as reason:
        for load in missing:
            store.measure(load.key, inputs[load], partial(_fail, str(reason)))
            yield load


def _fail(reason: str) -> Values:
    raise NotMeasured(reason)
