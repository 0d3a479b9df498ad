"""The figures of docs/models.md, made from a comparison.

    python -m tools.models [FOLDER]

FOLDER is what `superres compare -o FOLDER` wrote: its report becomes
benchmarks/results/comparison.json, its strip docs/images/models.jpg, and the qualities go to
superres/catalogue/measured.json. Without it the page is written from the report that is there.
"""

import sys
from pathlib import Path

from PIL import Image

from superres.comparison.report.claims import check_claims
from superres.comparison.report.document import Report
from superres.comparison.report.recommend import recommend
from superres.comparison.report.record import write_record
from superres.comparison.report.tables import list_tables, make_markdown

__all__ = ["replace_figures"]

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "benchmarks/results/comparison.json"
_PAGE = _ROOT / "docs/models.md"
_START, _END = "<!-- figures -->\n", "<!-- end -->"
_STRIP = "astronaut_JPEG_40_x4.png"


def replace_figures(page: str) -> str:
    """Return the page with its figures made anew from the report in benchmarks/results."""
    report = Report.read(_RESULTS.read_text())
    before, found, rest = page.partition(_START)
    if not found:
        raise ValueError(f"{_PAGE} has no line {_START.strip()}")
    after = rest.partition(_END)[2]
    return before + _START + "\n".join(_list_parts(report)) + _END + after


def _list_parts(report: Report) -> list[str]:
    photos = next(iter(report.settings["sets"]))
    machine = report.machine
    head = (
        f"Measured on {machine['processor']}, {machine['threads']} threads, PyTorch "
        f"{machine['torch']}; every figure is a cell of `benchmarks/results/comparison.json`.\n"
    )
    tables = list_tables(report)
    shown = [recommend(report), check_claims(report, photos), tables[0]]
    shown += [table for table in tables if table.title.startswith("Quality: photos")]
    shown.append(tables[-1])
    return [head, *map(make_markdown, shown)]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        _RESULTS.write_text((folder / "report.json").read_text())
        with Image.open(folder / "strips" / _STRIP) as strip:
            strip.convert("RGB").save(_ROOT / "docs/images/models.jpg", quality=75)
        found = Report.read(_RESULTS.read_text())
        photos = next(iter(found.settings["sets"]))
        write_record(found, photos, _ROOT / "superres/catalogue/measured.json")
    _PAGE.write_text(replace_figures(_PAGE.read_text()))
