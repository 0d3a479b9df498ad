"""Recommendations, claims and the Pareto front, from cells with numbers made up for the purpose."""

from pathlib import Path
from typing import Any

from evaluation.damages import DAMAGES
from superres.comparison.cells import CellKey, Values
from superres.comparison.contenders import Contender, Place
from superres.comparison.report.charts import find_front
from superres.comparison.report.claims import check_claims
from superres.comparison.report.document import Report
from superres.comparison.report.recommend import recommend
from superres.comparison.report.tables import Table, list_tables

CPU = Place("cpu", "fp32")
SIDES = (64, 128)


def make_report(models: dict[str, tuple[float, float, float | None]]) -> Report:
    """A report of x4 models: seconds per megapixel, MB, and a quality that all images have."""
    contenders = []
    cells: dict[CellKey, Values] = {}
    for name, (pace, memory, quality) in models.items():
        contenders.append(Contender(name, name.partition(".")[0], 4, pace))
        for side in SIDES:
            seconds = pace * side * side / 1e6
            cells[CellKey("cost", name, str(CPU), f"{side}x{side}")] = {
                "seconds": seconds,
                "spread": 0.1,
                "peak_mb": memory,
                "dots_per_ms": side * side / seconds / 1000,
                "dots_per_mb": side * side / memory,
            }
        if quality is not None:
            mean = {"ssim": quality / 100, "niqe": 5.0, "score": quality}
            images = {"astronaut": mean}
            for found in (f"{s} {d}" for s in ("photos", "drawings", "text") for d in DAMAGES):
                key = CellKey("quality", name, str(CPU), found)
                cells[key] = {"mean": mean, "images": images}
    settings: dict[str, Any] = {
        "sides": SIDES,
        "sets": {"photos": 1, "drawings": 1, "text": 1},
        "damages": tuple(DAMAGES),
        "metrics": ("ssim", "niqe", "score"),
        "clients": (1, 8),
        "max_seconds": 60,
        "max_memory_mb": 16384,
    }
    return Report({}, settings, contenders, [CPU], cells, {}, [], Path())


def read_row(table: Table, name: str) -> list[str]:
    """The texts of the row whose first field is `name`."""
    return next([e.text for e in row] for row in table.rows if row[0].text == name)


BASE = {"bicubic.x4": (0.1, 10.0, 70.0)}


def test_the_best_model_that_is_fast_enough_is_recommended() -> None:
    report = make_report(
        BASE | {"fast.x4": (0.1, 20, 71), "middle.x4": (5, 50, 73), "slow.x4": (150, 400, 74)}
    )
    table = recommend(report)
    assert read_row(table, "photo")[1] == "slow.x4"
    assert read_row(table, "photo")[5] == "middle.x4: 75% of the gain, 30 times as fast"
    assert read_row(table, "video, offline")[1].startswith("middle.x4 (")
    assert read_row(table, "real time")[1].startswith("fast.x4 (")


def test_nothing_worse_than_bicubic_is_recommended() -> None:
    table = recommend(make_report(BASE | {"bad.x4": (0.1, 20, 69)}))
    row = read_row(table, "photo")
    assert row[1] == "bicubic" and row[-1] == "bad.x4"
    assert "no model is both" in read_row(table, "real time")[1]


def test_a_model_without_weights_is_not_recommended_but_its_cost_is_told() -> None:
    report = make_report(BASE | {"fast.x4": (1, 20, 71), "unknown.x4": (2, 20, None)})
    assert "unknown" not in str([e.text for row in recommend(report).rows for e in row])
    assert "unknown.x4" in [row[0].text for row in list_tables(report)[0].rows]


def test_claims_that_hold_and_that_do_not() -> None:
    models = BASE | {
        "realesrgan.x4plus": (100, 100, 75),
        "swinir.real-x4": (300, 300, 74),
        "swin2sr.real-x4": (330, 320, 74.2),
        "dipnet.x4": (2, 10, 72),
        "bicubic_pp.x4": (0.2, 10, 71),
    }
    table = check_claims(make_report(models), "photos")
    verdicts = [row[1].text for row in table.rows]
    assert verdicts[0] == "confirmed"
    assert verdicts[1].startswith("confirmed: at least 50 times the dots/ms")
    assert verdicts[2] == "confirmed"
    changed = models | {"dipnet.x4": (60, 10, 72), "swin2sr.real-x4": (50, 90, 74.2)}
    verdicts = [row[1].text for row in check_claims(make_report(changed), "photos").rows]
    assert [verdict.split(":")[0] for verdict in verdicts] == [
        "contradicted in cost",
        "contradicted",
        "contradicted in cost",
    ]


def test_claims_without_weights_stay_open_in_quality() -> None:
    models = BASE | {"swinir.real-x4": (300, 300, None), "swin2sr.real-x4": (330, 320, None)}
    verdicts = [row[1].text for row in check_claims(make_report(models), "photos").rows]
    assert verdicts[:2] == ["cannot be decided here"] * 2
    assert verdicts[2].endswith("quality cannot be decided here")


def test_the_front_holds_what_none_beats_in_both() -> None:
    assert find_front([(1, 5), (2, 4), (1.5, 3), (3, 1), (3, 0.5)]) == [0, 1, 3]
    assert find_front([(1, 1), (1, 1)]) == [0, 1]


def test_worse_than_bicubic_is_marked_in_each_table() -> None:
    table = list_tables(make_report(BASE | {"bad.x4": (1, 1, 60)}))[3]
    row = next(row for row in table.rows if row[0].text == "bad.x4")
    assert [entry.is_worse for entry in row] == [False, True, False, True]
