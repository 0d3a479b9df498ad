"""What is found out about a weights file."""

from collections.abc import Callable
from typing import NamedTuple

from superres.model_spec import NetworkSpec, StateDict, Weights

ANY_WEIGHTS = Weights("", "not stated", "your own file", None)


class Detected(NamedTuple):
    """A network as a state dict shows it."""

    summary: str  # e.g. "RRDB x4, 6 blocks of 64 features"
    make_spec: Callable[[str], NetworkSpec]  # of a name: the row that the file would have


class Unsupported(NamedTuple):
    """A network that is known and not computed here."""

    summary: str
    reason: str


Finding = Detected | Unsupported | None
Detector = Callable[[StateDict], Finding]
