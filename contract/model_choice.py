"""Which of the models that are served answers `model=auto:fast`, `auto:balanced` or `auto:best`.

The gateway chooses among all Executors of a Flow, an Executor that is asked directly among its own
models: both by this rule.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contract.problem import make_error, quote

__all__ = ["PREFERENCES", "Candidate", "Choice", "choose_model", "is_automatic"]

PREFERENCES = ("fast", "balanced", "best")
_AUTO = "auto"


class Candidate(NamedTuple):
    """A model that is served.

    `quality` is that of photos (superres/catalogue/measured.json), None where it was not measured;
    `baseline` that of bicubic at the model's scale; `seconds` are those of a megapixel of input
    here.
    """

    name: str
    scale: int
    quality: float | None
    baseline: float | None
    seconds: float
    is_default: bool = False
    options: frozenset[str] = frozenset()  # model-specific ones that it takes

    @classmethod
    def from_tags(cls, tags: Mapping[str, Any], *, is_default: bool) -> "Candidate":
        """Return the model that tags of /models describe; older Executors tell less."""
        cost = tags.get("cost") or {}
        return cls(
            str(tags["name"]),
            int(tags.get("scale", 0)),
            tags.get("quality"),
            tags.get("bicubic_quality"),
            float(cost.get("seconds_per_megapixel", math.inf)),
            is_default,
            frozenset(tags.get("options", ())),
        )

    @property
    def is_better_than_bicubic(self) -> bool:
        """Whether both qualities are known and the model's is higher."""
        return None not in (self.quality, self.baseline) and self.gain > 0

    @property
    def gain(self) -> float:
        """Quality above bicubic's; 0 where one of them is not known."""
        return (
            0.0 if self.quality is None or self.baseline is None else self.quality - self.baseline
        )


class Choice(NamedTuple):
    """A model, and why it was chosen."""

    asked: str
    model: str
    reason: str

    def as_tag(self) -> dict[str, str]:
        """Return what an answer says of it."""
        return self._asdict()


def is_automatic(model: object) -> bool:
    """Return whether the value of the option `model` leaves the choice to the service."""
    return isinstance(model, str) and model.partition(":")[0] == _AUTO


def choose_model(asked: str, candidates: Sequence[Candidate], options: frozenset[str]) -> Choice:
    """Choose a model.

    Those of the default model's scale count, so that the answer's size does not depend on the
    choice; of them those that take all the options; of them those whose quality was measured.
    `best` has the highest quality. `fast` is the cheapest that is better than bicubic. `balanced`
    is, in the plane of quality and the logarithm of cost, farthest above the line from `fast` to
    `best`.

    Args:
        asked: auto, which is auto:balanced, or auto: and a preference.
        candidates: Models that are served, one of them the default; not empty.
        options: Model-specific options that the request has.

    Returns:
        The choice.

    Raises:
        ProblemError: There is no such preference.
    """
    preference = asked.partition(":")[2] if ":" in asked else "balanced"
    if preference not in PREFERENCES:
        allowed = " or ".join(f"{_AUTO}:{name}" for name in PREFERENCES)
        message = f"model {quote(asked)}: expected {allowed}, or a model's name"
        raise make_error("MODEL", message, option="model", allowed=allowed)
    considered = _narrow(candidates, options)
    better = [one for one in considered if one.is_better_than_bicubic]
    if not better:
        return _choose_unmeasured(asked, preference, considered)
    fast = min(better, key=lambda one: (one.seconds, -one.gain))
    best = max(better, key=lambda one: (one.gain, -one.seconds))
    chosen = {"fast": fast, "best": best}.get(preference) or _balance(better, fast, best)
    return Choice(asked, chosen.name, _explain(preference, chosen, better))


def _narrow(candidates: Sequence[Candidate], options: frozenset[str]) -> list[Candidate]:
    default = next((one for one in candidates if one.is_default), candidates[0])
    same = [one for one in candidates if one.scale == default.scale]
    taking = [one for one in same if options <= one.options] or same
    return [one for one in taking if one.quality is not None] or taking


def _choose_unmeasured(asked: str, preference: str, among: Sequence[Candidate]) -> Choice:
    """Return the cheapest for `fast`, else the default, where none is known to beat bicubic."""
    cheapest = min(among, key=lambda one: one.seconds)
    default = next((one for one in among if one.is_default), cheapest)
    chosen, what = (cheapest, "cheapest") if preference == "fast" else (default, "default")
    count = f"{len(among)} x{chosen.scale} model{'s' if len(among) > 1 else ''}"
    return Choice(
        asked, chosen.name, f"none of {count} was measured as better than bicubic: the {what}"
    )


def _balance(among: Sequence[Candidate], fast: Candidate, best: Candidate) -> Candidate:
    """Return the model farthest above the line; of equals the default, else the better one."""

    def rise(one: Candidate) -> float:
        span = math.log(best.seconds / fast.seconds) if best.seconds > fast.seconds > 0 else 0.0
        if not span or not math.isfinite(span):
            return 0.0
        part = math.log(one.seconds / fast.seconds) / span
        return one.gain - (fast.gain + part * (best.gain - fast.gain))

    return max(among, key=lambda one: (round(rise(one), 9), one.is_default, one.gain))


def _explain(preference: str, chosen: Candidate, among: Sequence[Candidate]) -> str:
    count = f"{len(among)} x{chosen.scale} model{'s' if len(among) > 1 else ''}"
    what = {
        "fast": f"the cheapest of {count} that look better than bicubic",
        "balanced": f"the best balance of quality and cost of {count} better than bicubic",
        "best": f"the highest quality of {count}",
    }[preference]
    quality = f"quality {chosen.quality:.1f}, bicubic's {chosen.baseline:.1f}"
    return f"{what}: {quality}; {chosen.seconds:.3g} s per megapixel here"
