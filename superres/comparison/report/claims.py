"""What the article says of the models, checked one claim at a time against the cells.

The article is Jina's guide to super-resolution (jina.ai/news), which compares Real-ESRGAN, SwinIR,
Swin2SR, the Stable Diffusion upscaler, Bicubic++, DIPNet and LapSRN.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from superres.comparison.report.charts import average_quality
from superres.comparison.report.document import Report
from superres.comparison.report.tables import Figure, Table

__all__ = ["check_claims"]

_STRONG = ("realesrgan.x4plus", "swinir.real-x4", "swin2sr.real-x4", "stable_diffusion.x4")
_BALANCED, _TWINS = "realesrgan.x4plus", ("swinir.real-x4", "swin2sr.real-x4")
_CHEAP = ("dipnet.x4", "bicubic_pp.x4")
_FAR_AHEAD = 5.0  # times
_ALIKE = 1.5  # times, of seconds and of memory
_ALIKE_SCORE = 0.5
_CONFIRMED, _CONTRADICTED, _OPEN = "confirmed", "contradicted", "cannot be decided here"


class _Facts(NamedTuple):
    """What was measured of a model, on the first place."""

    name: str
    speed: float  # dots/ms
    thrift: float  # dots/MB
    score: float | None  # of photos, mean of the damages; None without weights
    cell: str

    def __str__(self) -> str:
        quality = "quality not measured" if self.score is None else f"score {self.score:.2f}"
        return f"{self.name}: {self.speed:.3g} dots/ms, {self.thrift:.3g} dots/MB, {quality}"


def check_claims(report: Report, set_name: str) -> Table:
    """Check the article's claims.

    Args:
        report: The cells.
        set_name: The originals whose quality counts.

    Returns:
        A row for each claim: the claim, the verdict, and the figures it rests on.
    """
    side = report.reference_side
    note = (
        f"At {side}x{side} pixels on {report.places[0]}; the score (100 SSIM - 1.5 NIQE) is the "
        f"mean over the damages of {set_name}. A model without weights at hand is measured with "
        "random ones, which cost the same and say nothing of quality."
    )
    table = Table("The article's claims", note, ["claim", "verdict", "figures"])
    known = {name: _find_facts(report, name, set_name) for name in {*_STRONG, *_TWINS, *_CHEAP}}
    facts = {name: found for name, found in known.items() if found is not None}
    for claim, names, judge in _CLAIMS:
        found = [facts[name] for name in names if name in facts]
        verdict = judge(found)
        cell = found[0].cell if found else ""
        figures = "; ".join(map(str, found)) or "none of them was measured"
        table.rows.append([Figure(claim), Figure(verdict, None, cell), Figure(figures)])
    return table


def _find_facts(report: Report, name: str, set_name: str) -> _Facts | None:
    contender = next((c for c in report.contenders if c.name == name), None)
    if contender is None:
        return None
    entrant = report.find_entrant(contender, report.places[0])
    cost = report.get("cost", entrant, f"{report.reference_side}x{report.reference_side}")
    if cost is None:
        return None
    key, values = cost
    score = average_quality(report, entrant, set_name, "score")
    return _Facts(name, values["dots_per_ms"], values["dots_per_mb"], score, str(key))


def _judge_balance(found: Sequence[_Facts]) -> str:
    """Real-ESRGAN is cheaper in both, and, where that is known, no worse."""
    ours = next((facts for facts in found if facts.name == _BALANCED), None)
    others = [facts for facts in found if facts.name != _BALANCED]
    if ours is None or not others:
        return _OPEN
    is_cheaper = all(ours.speed > one.speed and ours.thrift > one.thrift for one in others)
    if not is_cheaper:
        return f"{_CONTRADICTED} in cost"
    rated = [one.score for one in others if one.score is not None]
    if ours.score is None or not rated:
        return f"{_CONFIRMED} in cost; quality {_OPEN}"
    return _CONFIRMED if ours.score >= max(rated) - _ALIKE_SCORE else f"{_CONTRADICTED} in quality"


def _judge_lead(found: Sequence[_Facts]) -> str:
    """Each cheap model is several times as fast and as thrifty as every strong one."""
    cheap = [facts for facts in found if facts.name in _CHEAP]
    strong = [facts for facts in found if facts.name in _STRONG]
    if len(cheap) < len(_CHEAP) or not strong:
        return _OPEN
    speed = min(one.speed for one in cheap) / max(one.speed for one in strong)
    thrift = min(one.thrift for one in cheap) / max(one.thrift for one in strong)
    said = f"at least {speed:.3g} times the dots/ms, {thrift:.3g} times the dots/MB"
    return f"{_CONFIRMED if min(speed, thrift) >= _FAR_AHEAD else _CONTRADICTED}: {said}"


def _judge_likeness(found: Sequence[_Facts]) -> str:
    """The costs of the two differ by less than half, and so does their quality."""
    if len(found) < 2:
        return _OPEN
    one, other = found
    speed = max(one.speed, other.speed) / min(one.speed, other.speed)
    thrift = max(one.thrift, other.thrift) / min(one.thrift, other.thrift)
    said = f"{speed:.3g} times in dots/ms, {thrift:.3g} times in dots/MB"
    if max(speed, thrift) > _ALIKE:
        return f"{_CONTRADICTED} in cost: {said}"
    if one.score is None or other.score is None:
        return f"{_CONFIRMED} in cost: {said}; quality {_OPEN}"
    is_alike = abs(one.score - other.score) <= _ALIKE_SCORE
    return _CONFIRMED if is_alike else f"{_CONTRADICTED} in quality"


_CLAIMS: Sequence[tuple[str, Sequence[str], Callable[[Sequence[_Facts]], str]]] = (
    (
        "Of the strong models (Real-ESRGAN, SwinIR, Swin2SR, Stable Diffusion), Real-ESRGAN has "
        "the best balance of quality and cost",
        _STRONG,
        _judge_balance,
    ),
    ("DIPNet and Bicubic++ are far ahead of them in cost", (*_CHEAP, *_STRONG), _judge_lead),
    ("SwinIR and Swin2SR are alike", _TWINS, _judge_likeness),
)
