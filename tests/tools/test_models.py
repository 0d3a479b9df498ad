"""docs/models.md says what the recorded comparison says."""

from pathlib import Path

from superres.comparison.report.document import Report
from tools.models import replace_figures

ROOT = Path(__file__).parents[2]


def test_the_figures_of_the_page_are_those_of_the_report() -> None:
    page = (ROOT / "docs/models.md").read_text()
    assert replace_figures(page) == page


def test_a_report_that_is_read_is_the_one_that_was_written() -> None:
    text = (ROOT / "benchmarks/results/comparison.json").read_text()
    assert Report.read(text).as_json() == text
