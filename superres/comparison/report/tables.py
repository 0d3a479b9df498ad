"""The tables of a report. Each figure knows the cell it was read from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.metrics import METRICS
from superres.comparison.cells import CellKey
from superres.comparison.report.document import Entrant, Report

__all__ = ["Figure", "Table", "list_tables", "make_markdown"]

_MISSING = "–"
_DIGITS = 4  # significant ones of quality: 28.43 dB, 0.8113


@dataclass(frozen=True)
class Figure:
    """A field of a table. `cell` names where a figure comes from; `is_worse`: than bicubic."""

    text: str
    value: float | None = None
    cell: str = ""
    is_worse: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a title and a sentence that explains it."""

    title: str
    note: str
    head: Sequence[str]
    rows: list[list[Figure]] = field(default_factory=list)


def list_tables(report: Report) -> list[Table]:
    """Return the tables of figures, in the order of the report."""
    tables = [_summarize(report), _list_seconds(report), _list_memory(report)]
    tables += [
        _list_quality(report, name, damage)
        for name in report.settings["sets"]
        for damage in report.settings["damages"]
    ]
    return [*tables, _list_largest(report)]


def _summarize(report: Report) -> Table:
    side, most = report.reference_side, report.settings["max_memory_mb"]
    clients = report.settings["clients"]
    table = Table(
        "Cost",
        f"One image of {side}x{side} pixels, without decoding and encoding: median seconds, their "
        "spread (of runs, at least 0.15: what two processes differ by), peak "
        "memory above idle, input pixels per millisecond (dots/ms) and per megabyte (dots/MB); "
        "documents per second (DPS) through the running service, a JPEG of 128x128 in, PNG out; "
        f"the largest square photo within {most / 1024:g} GB by the cost model. An image larger "
        "than 1024x1024 usually needs no upscaling.",
        [
            "model",
            "seconds",
            "spread",
            "MB",
            "dots/ms",
            "dots/MB",
            *(f"DPS, {n} client{'s' if n > 1 else ''}" for n in clients),
            f"largest in {most / 1024:g} GB",
        ],
    )
    for entrant in report.entrants:
        cost = report.get("cost", entrant, f"{side}x{side}")
        row = [Figure(entrant.label)]
        row += [_read(cost, name) for name in ("seconds", "spread")]
        row.append(_read_memory(cost))
        row += [_read(cost, name) for name in ("dots_per_ms", "dots_per_mb")]
        for count in clients:
            load = report.get("service", entrant, f"{count} clients")
            row.append(_read(load, "documents_per_second"))
        largest = report.get("largest", entrant, f"{most} MB")
        found = _read(largest, "side")
        row.append(_make_square(found))
        table.rows.append(row)
    return table


def _make_square(entry: Figure) -> Figure:
    if entry.value is None:
        return entry
    return Figure(f"{entry.value:.0f}x{entry.value:.0f}", entry.value, entry.cell)


def _list_by_side(report: Report, title: str, note: str, read: Any) -> Table:
    sides = report.settings["sides"]
    table = Table(title, note, ["model", *(f"{side}x{side}" for side in sides)])
    for entrant in report.entrants:
        cells = [report.get("cost", entrant, f"{side}x{side}") for side in sides]
        table.rows.append([Figure(entrant.label), *map(read, cells)])
    return table


def _list_seconds(report: Report) -> Table:
    return _list_by_side(
        report,
        "Seconds by input size",
        "Median of up to five runs; empty where a run would take longer than "
        f"{report.settings['max_seconds']:g} s.",
        lambda cell: _read(cell, "seconds"),
    )


def _list_memory(report: Report) -> Table:
    return _list_by_side(
        report,
        "Peak memory by input size, MB",
        "Above that of the process with the model loaded; the device's memory on CUDA.",
        _read_memory,
    )


def _list_quality(report: Report, name: str, damage: str) -> Table:
    metrics = report.settings["metrics"]
    count = report.settings["sets"][name]
    table = Table(
        f"Quality: {name}, {damage}",
        f"{count} originals, reduced by MATLAB's bicubic by the model's scale, then: {damage}. "
        "PSNR and SSIM of luma without the border, as papers have them; ↑ higher is better, ↓ "
        "lower is better. Worse than bicubic of the same scale: ✗.",
        ["model", *map(_describe_metric, metrics)],
    )
    subject = f"{name} {damage}"
    for entrant in report.entrants:
        found = report.get("quality", entrant, subject)
        if found is None:
            continue
        values = [
            _judge(report, entrant, subject, metric, _read(found, metric, _DIGITS))
            for metric in metrics
        ]
        table.rows.append([Figure(entrant.label), *values])
    return table


def _describe_metric(name: str) -> str:
    metric = METRICS[name]
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.label}{unit} {'↑' if metric.higher_is_better else '↓'}"


def _judge(report: Report, entrant: Entrant, subject: str, metric: str, entry: Figure) -> Figure:
    base = report.find_quality(report.find_baseline(entrant), subject, metric)
    if entry.value is None or base is None:
        return entry
    sign = 1 if METRICS[metric].higher_is_better else -1
    is_worse = sign * (entry.value - base) < 0
    return Figure(entry.text + (" ✗" if is_worse else ""), entry.value, entry.cell, is_worse)


def _list_largest(report: Report) -> Table:
    most = report.settings["max_memory_mb"]
    table = Table(
        f"The largest photo within {most / 1024:g} GB",
        "From the cost model, which is tried with the largest photo that this machine's free "
        "memory and the time allow: estimated beside measured.",
        ["model", "side", "limited by", "tried side", "estimated, MB", "measured, MB", "seconds"],
    )
    for entrant in report.entrants:
        largest = report.get("largest", entrant, f"{most} MB")
        if largest is None:
            continue
        tried = report.get("tried", entrant, f"{most} MB")
        limit = Figure(largest[1]["limited_by"], None, str(largest[0]))
        row = [Figure(entrant.label), _read(largest, "side"), limit]
        names = ("side", "estimated_mb", "measured_mb", "seconds")
        table.rows.append([*row, *(_read(tried, name) for name in names)])
    return table


def _read_memory(cell: tuple[CellKey, Any] | None) -> Figure:
    name = "device_mb" if cell and "device_mb" in cell[1] else "peak_mb"
    return _read(cell, name)


def _read(cell: tuple[CellKey, Any] | None, name: str, digits: int = 3) -> Figure:
    """Return a cell's value, or a mean of it, as a field of so many significant digits."""
    if cell is None:
        return Figure(_MISSING)
    key, values = cell
    value = values.get(name, values.get("mean", {}).get(name))
    return (
        Figure(_MISSING)
        if value is None
        else Figure(_format(value, digits), float(value), str(key))
    )


def _format(value: float, digits: int) -> str:
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def make_markdown(table: Table) -> str:
    """Return a table as Markdown, with its title and note."""
    lines = [f"### {table.title}", "", table.note, "", f"| {' | '.join(table.head)} |"]
    lines.append("|" + " --- |" * len(table.head))
    lines += [f"| {' | '.join(entry.text for entry in row)} |" for row in table.rows]
    return "\n".join(lines) + "\n"
