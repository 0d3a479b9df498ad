"""The charts of a report as SVG: bars of cost, and quality against cost with its Pareto front."""

import io
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from evaluation.metrics import METRICS
from superres.comparison.report.document import Entrant, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

__all__ = ["Chart", "find_front", "list_charts"]

_COSTS = {"dots_per_ms": "dots per millisecond", "peak_mb": "peak memory, MB"}
_ROW_INCHES, _WIDTH_INCHES = 0.26, 9.0


class Chart(NamedTuple):
    """A chart: its title and SVG."""

    title: str
    svg: str


class _Point(NamedTuple):
    label: str
    system: str
    cost: float
    quality: float


def list_charts(report: Report, set_name: str, metrics: Sequence[str]) -> list[Chart]:
    """Draw the charts of a report.

    Args:
        report: The cells.
        set_name: The originals whose quality is drawn, as the mean over all damages.
        metrics: What is drawn of quality.

    Returns:
        Bars of seconds, memory, dots/ms and documents per second, then quality against speed and
        against memory.
    """
    side = f"{report.reference_side}x{report.reference_side}"
    bars = [
        ("Seconds", "cost", side, "seconds"),
        ("Peak memory, MB", "cost", side, "peak_mb"),
        ("Dots per millisecond", "cost", side, "dots_per_ms"),
        ("Dots per MB", "cost", side, "dots_per_mb"),
        *(
            (f"Documents per second, {load}", "service", load, "documents_per_second")
            for load in (f"{n} clients" for n in report.settings["clients"])
        ),
    ]
    drawn = [_draw_bars(report, title, kind, subject, name) for title, kind, subject, name in bars]
    for metric in metrics:
        for name, title in _COSTS.items():
            points = _list_points(report, set_name, metric, side, name)
            drawn.append(_draw_front(points, metric, title, higher=name == "dots_per_ms"))
    return [chart for chart in drawn if chart is not None]


def _draw_bars(report: Report, title: str, kind: str, subject: str, name: str) -> Chart | None:
    values = {}
    for entrant in report.entrants:
        found = report.get(kind, entrant, subject)
        if found is not None:
            label = entrant.label if kind == "cost" else entrant.contender.name
            values[label] = max(found[1][name], 1e-6)
    if not values:
        return None
    with _open_figure(len(values) * _ROW_INCHES + 0.8) as (axes, read):
        labels = list(values)[::-1]
        bars = axes.barh(labels, [values[label] for label in labels], color="#4a7ab5")
        axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
        axes.set_xscale("log")
        axes.margins(x=0.15, y=0.01)
        axes.grid(axis="x", alpha=0.3)
        return Chart(title if kind == "service" else f"{title}, {subject}", read())


def _list_points(report: Report, set_name: str, metric: str, side: str, name: str) -> list[_Point]:
    points = []
    for entrant in report.entrants:
        cost = report.get("cost", entrant, side)
        quality = average_quality(report, entrant, set_name, metric)
        if cost is not None and quality is not None:
            value = max(cost[1][name], 0.1)
            points.append(_Point(entrant.label, entrant.contender.system, value, quality))
    return points


def average_quality(report: Report, entrant: Entrant, set_name: str, metric: str) -> float | None:
    """Return the mean of a metric over all damages of a set, None where one is missing."""
    values = [
        report.find_quality(entrant, f"{set_name} {damage}", metric)
        for damage in report.settings["damages"]
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _draw_front(points: Sequence[_Point], metric: str, title: str, *, higher: bool) -> Chart | None:
    if len(points) < 2:
        return None
    measure = METRICS[metric]
    sign = 1 if measure.higher_is_better else -1
    front = find_front([((1 if higher else -1) * p.cost, sign * p.quality) for p in points])
    with _open_figure(5.0) as (axes, read):
        axes.plot(
            [points[n].cost for n in front], [points[n].quality for n in front], "--", color="gray"
        )
        for number, point in enumerate(points):
            is_front = number in front
            axes.plot(point.cost, point.quality, "o", color="#b5544a" if is_front else "#4a7ab5")
            axes.annotate(
                point.label,
                (point.cost, point.quality),
                (4, 4),
                textcoords="offset points",
                fontsize=7,
                weight="bold" if is_front else "normal",
            )
        axes.set_xscale("log")
        axes.set_xlabel(title)
        axes.set_ylabel(measure.label)
        if not measure.higher_is_better:
            axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.grid(alpha=0.3)
        return Chart(f"{measure.label} against {title}; bold: none is better in both", read())


def find_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other one beats in both coordinates, higher being better.

    Args:
        points: Two goods each.

    Returns:
        Their places in `points`, by the first coordinate.
    """
    best = [
        number
        for number, (x, y) in enumerate(points)
        if not any((a >= x and b > y) or (a > x and b >= y) for a, b in points)
    ]
    return sorted(best, key=lambda number: points[number])


@contextmanager
def _open_figure(height: float) -> "Iterator[tuple[Axes, Callable[[], str]]]":
    """Open a figure; the function beside its axes returns it as SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Plot

    # Text stays text; names inside the file depend on its content alone.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "superres", "font.size": 9}):
        figure = Plot(figsize=(_WIDTH_INCHES, height), layout="constrained")
        FigureCanvasSVG(figure)

        def read() -> str:
            stream = io.StringIO()
            figure.savefig(stream, format="svg", metadata={"Date": None})
            text = stream.getvalue()
            return text[text.index("<svg") :]

        yield figure.subplots(), read
