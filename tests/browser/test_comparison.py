"""The pages that `superres compare` writes, opened from the disk as people open them."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from superres.cli.main import main
from tests.browser.chromium import NEEDS_CHROMIUM, Browser, running

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]

OPTIONS = [
    *("--no-service", "--models", "bicubic_pp.x4", "lanczos.x4", "--sides", "16", "32"),
    *("--metrics", "psnr", "--damages", "clean", "--limit", "1", "--max-seconds", "20"),
]
FIRST = "document.querySelector('table tbody tr th').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison")
    assert main(["compare", "-o", str(path), *OPTIONS]) == 0
    assert main(["compare", "-o", str(path), *OPTIONS, "--blind"]) == 0
    return path


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def report(browser: Browser, folder: Path) -> Browser:
    browser.open(f"file://{folder}/report.html")
    return browser


def test_tables_sort_by_a_heading_both_ways(report: Browser) -> None:
    table = "[...document.querySelectorAll('h3')].find(h => h.textContent === 'Cost')"
    table += ".nextElementSibling.nextElementSibling"
    values = f"[...{table}.querySelectorAll('tbody td:nth-child(2)')].map(c => +c.dataset.value)"
    button = f"{table}.querySelectorAll('thead button')[1].click()"
    report.script(button)
    assert report.value(values) == sorted(report.value(values), reverse=True)
    report.script(button)
    assert report.value(values) == sorted(report.value(values))


def test_a_figure_shows_the_measurement_it_comes_from(report: Browser, folder: Path) -> None:
    name = report.value("document.querySelector('td[data-cell^=cost]').dataset.cell")
    report.script("document.querySelector('td[data-cell^=cost]').click()")
    assert report.value("document.getElementById('cell').open")
    shown = json.loads(report.text("#cell pre"))
    assert shown == json.loads((folder / "report.json").read_text())["cells"][name]


def test_crops_are_enlarged_and_moved_together(report: Browser) -> None:
    styles = report.script(
        "document.querySelector('.view').dispatchEvent(new WheelEvent('wheel',"
        " { deltaY: -1, clientX: 40, clientY: 40, cancelable: true }));"
        "const images = document.querySelector('.strip').querySelectorAll('img');"
        "return [...images].map(i => i.style.transform)"
    )
    assert len(styles) == 5 and len(set(styles)) == 1 and "scale(1.25)" in styles[0]
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert report.value(loaded)


def test_nobody_sees_whose_image_it_is_before_the_end(browser: Browser, folder: Path) -> None:
    browser.open(f"file://{folder}/blind.html")
    assert "bicubic_pp" not in browser.value("document.body.innerText")
    for name in ("left", "right", "same", "left"):
        browser.click(f"#{name}")
    assert "4 chosen" in browser.text("#progress")
    browser.click("#show")
    assert "bicubic_pp.x4" in browser.text("#results table")
    browser.open(f"file://{folder}/blind.html")  # votes outlive the page
    assert "4 chosen" in browser.text("#progress")
    browser.click("#show")
    browser.click("#clear")


def test_scores_are_those_of_the_likeliest_bradley_terry_model(
    browser: Browser, folder: Path
) -> None:
    draw = np.random.default_rng(4)
    models = ["a", "b", "c", "d"]
    votes = [
        [*(models[n] for n in draw.choice(4, 2, replace=False)), bool(draw.random() < 0.2)]
        for _ in range(60)
    ]
    browser.open(f"file://{folder}/blind.html")
    scores = browser.script("return rateModels(arguments[0], arguments[1])", models, votes)
    assert scores == pytest.approx(fit(models, votes), abs=0.05)
    never = browser.script("return rateModels(['a', 'b'], [['a', 'b', false]])")
    assert all(map(math.isfinite, never)) and never[0] > 0 > never[1]


def fit(models: list[str], votes: list[list[object]]) -> list[float]:
    """The maximum of the likelihood by a general optimizer, each with a tie against average."""

    def count(strengths: np.ndarray) -> float:  # type: ignore[type-arg]
        total = 0.0
        for a, b, is_tie in votes:
            rise = strengths[models.index(str(a))] - strengths[models.index(str(b))]
            total += np.logaddexp(0, -rise) * (0.5 if is_tie else 1)
            total += np.logaddexp(0, rise) * (0.5 if is_tie else 0)
        prior = (np.logaddexp(0, -strengths) + np.logaddexp(0, strengths)) / 2
        return float(total + prior.sum())

    best = minimize(count, np.zeros(len(models)), tol=1e-12).x * 400 / math.log(10)
    return list(best - best.mean())
