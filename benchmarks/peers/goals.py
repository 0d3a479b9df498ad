"""What we want to reach against whom, and whether we did."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from superres.geometry import Size

Row = Mapping[str, Any]
Rows = Mapping[str, Row]


class Goal(NamedTuple):
    """One promise about a model: `measure` of its rows, or None where a row is missing."""

    model: str
    text: str
    wanted: float
    measure: Callable[[Rows], float | None]
    at_most: bool = False
    size: Size | None = None  # the image for which it is stated


def ratio(peer: str, own: str = "ours") -> Callable[[Rows], float | None]:
    """Return how many times as fast `own` is as `peer`."""

    def measure(rows: Rows) -> float | None:
        theirs, mine = (rows.get(name, {}).get("seconds") for name in (peer, own))
        return theirs / mine if theirs and mine else None

    return measure


def field(name: str, own: str = "ours") -> Callable[[Rows], float | None]:
    """Return a figure of one of our rows."""
    return lambda rows: rows.get(own, {}).get(name)


def less_memory(peer: str, own: str = "ours") -> Callable[[Rows], float | None]:
    """Return the memory above idle of `own`, as a share of that of `peer`."""

    def measure(rows: Rows) -> float | None:
        theirs, mine = (above_idle(rows.get(name, {})) for name in (peer, own))
        return mine / theirs if theirs and mine else None

    return measure


def above_idle(row: Row) -> float | None:
    """Return what a run took beyond what was resident before it, in MiB."""
    return row["peak_mb"] - row["idle_mb"] if "peak_mb" in row else None


X4PLUS, VGA = "realesrgan.x4plus", Size(640, 480)
GOALS = (
    Goal(X4PLUS, "as fast as RealESRGANer untiled", 1.3, ratio("realesrganer"), size=VGA),
    Goal(
        X4PLUS,
        "within 1.2 GB, as fast as its tiles of 128",
        1.0,
        ratio("realesrganer-128", "ours-1.2gb"),
        size=VGA,
    ),
    Goal(
        X4PLUS, "  resident MB then", 1200, field("peak_mb", "ours-1.2gb"), at_most=True, size=VGA
    ),
    Goal(
        X4PLUS,
        "  largest difference then, in 1/255",
        1,
        field("largest_difference", "ours-1.2gb"),
        at_most=True,
        size=VGA,
    ),
    Goal(
        X4PLUS,
        "asked for its tile and overlap, as fast as it",
        1.6,
        ratio("realesrganer-128", "ours-tile"),
        size=VGA,
    ),
    Goal(X4PLUS, "of fp32 matmul inside the network", 0.8, field("network_of_peak"), size=VGA),
    Goal(
        X4PLUS,
        "memory above idle, of RealESRGANer's untiled",
        0.25,
        less_memory("realesrganer"),
        at_most=True,
        size=VGA,
    ),
    Goal(
        "realesrgan.animevideo-x4",
        "of fp32 matmul inside the network",
        0.9,
        field("network_of_peak"),
    ),
    Goal("lapsrn.x4", "as fast as eager NCHW", 1.7, ratio("eager")),
    Goal("dipnet.x4", "as fast as eager NCHW", 1.45, ratio("eager")),
    Goal("swinir.classical-x4", "as fast as basicsr's, eager", 1.5, ratio("eager")),
)


def judged(model: str, size: Size, rows: Rows) -> list[dict[str, Any]]:
    """Return each goal of `model` with what was measured; those whose rows are missing are left
    out.
    """
    found = [(goal, goal.measure(rows)) for goal in GOALS if goal.model == model]
    return [judgement(goal, value, size) for goal, value in found if value is not None]


def judgement(goal: Goal, value: float, size: Size) -> dict[str, Any]:
    """Return `goal`, `measured` and `met`; `at` where the goal is stated for another size of
    image.
    """
    met = value <= goal.wanted if goal.at_most else value >= goal.wanted
    stated = {} if goal.size in {None, size} else {"stated_for": goal.size}
    return {
        "model": goal.model,
        "goal": goal.text,
        "wanted": goal.wanted,
        "at_most": goal.at_most,
        "measured": round(value, 3),
        "met": met,
        **stated,
    }
