"""How fast models are on this machine, learned from finished requests."""

import threading

_NEWEST_WEIGHT = 0.2  # of the newest request in what is learned
_MAX_CHANGE = 8.0  # times the old value that one request can change it by


class PaceTracker:
    """How slow each model is here, relative to its figure; learned from finished requests.

    A model of which nothing is known yet is as slow as the others are. Safe to use from threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learned: dict[str, float] = {}

    def get_pace(self, model: str) -> float:
        """Return seconds taken per second estimated; 1 where nothing was learned."""
        with self._lock:
            known = list(self._learned.values())
            mean = sum(known) / len(known) if known else 1.0
            return self._learned.get(model, mean)

    def learn(self, model: str, estimated: float, taken: float) -> None:
        """Learn from a request whose network part was `estimated` at pace 1, and `taken`."""
        if estimated <= 0 or taken <= 0:
            return
        ratio = taken / estimated
        with self._lock:
            old = self._learned.get(model)
            if old is None:
                self._learned[model] = ratio
                return
            bounded = min(max(ratio, old / _MAX_CHANGE), old * _MAX_CHANGE)
            self._learned[model] = (
                old * (bounded / old) ** _NEWEST_WEIGHT
            )  # ratios: a geometric mean
