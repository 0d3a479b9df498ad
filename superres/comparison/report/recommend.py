"""Which model for which use: read off the cells by stated rules, never written by hand."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from evaluation.damages import DAMAGES
from superres.catalogue import CATALOGUE
from superres.comparison.cells import CellKey, Values
from superres.comparison.contenders import Place, order_scales
from superres.comparison.report.document import Entrant, Report
from superres.comparison.report.tables import Figure, Table

__all__ = ["USES", "Use", "recommend"]

_FRAME = 640 * 360  # pixels of a video's frame
_LIVE, _OFFLINE = 24, 30 / 60  # frames a second: as it plays; a minute of 30 a second in an hour


class Use(NamedTuple):
    """A use of models, and what it wants of one.

    `metric` of `images`, a set or one image of it, decides by its mean over `damages` among the
    models that are affordable, as `limit` says in words.
    """

    name: str
    images: tuple[str, str | None]
    metric: str
    damages: tuple[str, ...]
    limit: str = ""
    is_affordable: Callable[["_Costs"], bool] = lambda costs: True


class _Costs(NamedTuple):
    """What a model costs: seconds per megapixel of input, documents a second of most clients."""

    seconds_per_megapixel: float
    documents: float


_ALL, _CLEAN, _JPEG = tuple(DAMAGES), ("clean",), ("clean", "JPEG 40")

USES: Sequence[Use] = (
    Use("photo", ("photos", None), "score", _ALL),
    Use("face", ("photos", "astronaut"), "score", _ALL),
    Use("anime and drawings", ("drawings", None), "ssim", _JPEG),
    Use("text", ("text", None), "ssim", _CLEAN),
    Use("compressed", ("photos", None), "score", ("JPEG 40",)),
    Use("clean, e.g. rendered", ("photos", None), "score", _CLEAN),
    Use(
        "huge batch",
        ("photos", None),
        "score",
        _ALL,
        "5 documents of 128x128 a second or more",
        lambda costs: costs.documents >= 5,
    ),
    Use(
        "video, offline",
        ("photos", None),
        "score",
        _JPEG,
        "a minute of 640x360 at 30 frames a second within an hour, the model alone",
        lambda costs: costs.seconds_per_megapixel * _FRAME / 1e6 <= 1 / _OFFLINE,
    ),
    Use(
        "real time",
        ("photos", None),
        "score",
        _JPEG,
        "24 frames of 640x360 a second, the model alone",
        lambda costs: costs.seconds_per_megapixel * _FRAME / 1e6 <= 1 / _LIVE,
    ),
)


class _Rated(NamedTuple):
    entrant: Entrant
    quality: float
    cost: float  # seconds per megapixel
    cell: CellKey


def recommend(report: Report) -> Table:
    """Recommend a model for every use.

    It is one of the scale that most models have; where none of them will do, of another.

    Args:
        report: The cells.

    Returns:
        A row for each use and place: the model, its figures, what is almost as good and cheaper,
        and the models that are worse than bicubic there.
    """
    scales = order_scales(report.contenders)
    table = Table(
        "Recommended",
        f"Of x{scales[0]} models whose weights were at hand, of another scale where none of them "
        "is fast enough: the highest quality, as the mean over the damages of the use; none that "
        "is worse than bicubic or may not be used commercially. Quality is the score of photos, "
        "100 SSIM - 1.5 NIQE, and the SSIM of text and drawings. Generated from the tables below.",
        ["use", "model", "quality", "bicubic", "s per megapixel", "cheaper", "worse than bicubic"],
    )
    for place in report.places:
        suffix = f" ({place})" if len(report.places) > 1 else ""
        for use in USES:
            rows = [_recommend_one(report, use, place, scale) for scale in scales]
            known = [row for row in rows if row is not None]
            found = [row for row in known if row[1].value is not None]  # the model's quality
            if known:
                table.rows.append([Figure(use.name + suffix), *(found or known)[0]])
    return table


def _recommend_one(report: Report, use: Use, place: Place, scale: int) -> list[Figure] | None:
    """Return the fields after the use's name; None where its images were not measured."""
    entrants = [e for e in report.entrants if e.place == place and e.contender.scale == scale]
    rated = [found for e in entrants if (found := _rate(report, e, use)) is not None]
    base = _rate(report, report.find_baseline(entrants[0]), use) if entrants else None
    if base is None:
        return None
    models = [one for one in rated if not one.entrant.contender.is_baseline]
    worse = [one.entrant.contender.name for one in models if one.quality < base.quality]
    fitting = [
        one
        for one in models
        if use.is_affordable(_read_costs(report, one.entrant))
        and not _is_restricted(one.entrant.contender.name)
    ]
    better = [one for one in fitting if one.quality > base.quality]
    rest = Figure(", ".join(worse) or "none")
    baseline = Figure(f"{base.quality:.4g}", base.quality, str(base.cell))
    if not better:
        why = "no model is both better than bicubic and fast enough" if use.limit else "bicubic"
        return [Figure(why), Figure("–"), baseline, Figure("–"), Figure("–"), rest]
    best = max(better, key=lambda one: one.quality)
    return [
        Figure(best.entrant.contender.name + (f" ({use.limit})" if use.limit else "")),
        Figure(f"{best.quality:.4g}", best.quality, str(best.cell)),
        baseline,
        Figure(f"{best.cost:.3g}", best.cost, str(_find_cost(report, best.entrant)[0])),
        Figure(_describe_cheaper(better, best, base)),
        rest,
    ]


def _is_restricted(name: str) -> bool:
    """Return whether a model's licence keeps businesses from using it."""
    return name in CATALOGUE and "-NC" in CATALOGUE[name].licence


def _describe_cheaper(better: Sequence[_Rated], best: _Rated, base: _Rated) -> str:
    """Name the cheapest model that keeps half of the gain over bicubic, if it is not the best."""
    enough = (best.quality + base.quality) / 2
    cheapest = min((one for one in better if one.quality >= enough), key=lambda one: one.cost)
    if cheapest is best:
        return "–"
    times = best.cost / cheapest.cost
    share = (cheapest.quality - base.quality) / (best.quality - base.quality)
    return f"{cheapest.entrant.contender.name}: {share:.0%} of the gain, {times:.3g} times as fast"


def _rate(report: Report, entrant: Entrant, use: Use) -> _Rated | None:
    """Return an entrant's quality in a use; None where it was not measured."""
    name, image = use.images
    values, cell = [], None
    for damage in use.damages:
        found = report.get("quality", entrant, f"{name} {damage}")
        value = _read_quality(found[1], image, use.metric) if found else None
        if found is None or value is None:
            return None
        cell = found[0]
        values.append(value)
    return _Rated(entrant, fmean(values), _read_costs(report, entrant)[0], cell) if cell else None


def _read_quality(values: Values, image: str | None, metric: str) -> float | None:
    measures: Mapping[str, float] = values["images"].get(image, {}) if image else values["mean"]
    return measures.get(metric)


def _find_cost(report: Report, entrant: Entrant) -> tuple[CellKey, Values]:
    """Return the cell of the largest input that was measured."""
    sides = sorted(report.settings["sides"], reverse=True)
    found = (report.get("cost", entrant, f"{side}x{side}") for side in sides)
    return next(cell for cell in found if cell is not None)


def _read_costs(report: Report, entrant: Entrant) -> _Costs:
    most = max(report.settings["clients"], default=1)
    load = report.get("service", entrant, f"{most} clients")
    key, values = _find_cost(report, entrant)
    side = int(key.subject.partition("x")[0])
    documents = load[1]["documents_per_second"] if load else 0.0
    return _Costs(values["seconds"] / side**2 * 1e6, documents)
