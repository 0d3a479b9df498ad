"""The files of a report: one page that needs nothing else, Markdown, JSON, and strips as images."""

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from superres.comparison.report.charts import list_charts
from superres.comparison.report.claims import check_claims
from superres.comparison.report.document import Report
from superres.comparison.report.recommend import recommend
from superres.comparison.report.strips import Strip, draw_strips, list_strips
from superres.comparison.report.tables import list_tables, make_markdown

__all__ = ["write_report"]

_TEMPLATES = "superres.comparison.report"
_DRAWN = ("score", "ssim", "niqe")  # metrics against cost


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write a report into a folder.

    Args:
        report: The cells.
        folder: Is made where it is missing; files of an earlier report are replaced.

    Returns:
        The page, the Markdown and the JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strips = list_strips(report)
    draw_strips(strips, folder / "strips")
    written = {
        "report.html": make_page(report, strips),
        "report.md": _make_markdown(report, strips),
        "report.json": report.as_json(),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
    return [folder / name for name in written]


def _get_photos(report: Report) -> str:
    """Return the set whose quality is drawn and counts for the claims: the first."""
    name: str = next(iter(report.settings["sets"]))
    return name


def make_page(report: Report, strips: list[Strip]) -> str:
    """Return the page, its images, style and script inside it."""
    photos = _get_photos(report)
    known = [name for name in _DRAWN if name in report.settings["metrics"]]
    return render(
        "report.html.j2",
        machine=report.machine,
        strips=[
            {
                "title": strip.title,
                "width": strip.width,
                "height": strip.height,
                "panels": [
                    {"label": p.label, "cell": p.cell, "data": make_data_url(p.path)}
                    for p in strip.panels
                ],
            }
            for strip in strips
        ],
        recommended=recommend(report),
        tables=list_tables(report),
        charts=list_charts(report, photos, known),
        claims=check_claims(report, photos),
        left_out=report.left_out,
        data=escape_script(report.as_json()),
        style=read_template("report.css"),
        script=read_template("report.js"),
    )


def render(template: str, **values: Any) -> str:
    """Return a template of this package, filled in; text in values is escaped."""
    loader = PackageLoader(_TEMPLATES, "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    text: str = environment.get_template(template).render(values)
    return text


def read_template(name: str) -> str:
    """Return a file beside the templates."""
    return files(_TEMPLATES).joinpath("templates", name).read_text()


def make_data_url(path: Path) -> str:
    """Return a PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def escape_script(text: str) -> str:
    """Return JSON text that no parser of HTML takes for the end of its element."""
    return text.replace("<", "\\u003c")


def _make_markdown(report: Report, strips: list[Strip]) -> str:
    machine = report.machine
    head = (
        "# Comparison of upscaling models\n\n"
        f"{machine['processor']}, {machine['threads']} threads, device {machine['device']}; "
        f"PyTorch {machine['torch']}, Python {machine['python']}. Seeds: "
        f"{report.settings['seeds']}. Every figure is a value of a cell in report.json.\n"
    )
    images = "\n".join(f"![{strip.title}](strips/{strip.name}.png)\n" for strip in strips)
    tables = [recommend(report), check_claims(report, _get_photos(report)), *list_tables(report)]
    left_out = "".join(f"- `{name}`: {why}\n" for name, why in report.left_out.items())
    parts = [head, images, *map(make_markdown, tables), f"### Left out\n\n{left_out or 'Nothing.'}"]
    return "\n".join(parts).rstrip() + "\n"
