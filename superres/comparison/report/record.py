"""The qualities that the service recommends by, written for superres/catalogue/measured.json."""

import json
from pathlib import Path

from superres.comparison.report.charts import average_quality
from superres.comparison.report.document import Report

__all__ = ["write_record"]

_METRIC = "score"


def write_record(report: Report, set_name: str, path: Path) -> None:
    """Write the qualities of models, and bicubic's by scale.

    Args:
        report: The cells; those of the first place count.
        set_name: The photos.
        path: The file.
    """
    models: dict[str, float] = {}
    bicubic: dict[str, float] = {}
    for contender in report.contenders:
        entrant = report.find_entrant(contender, report.places[0])
        quality = average_quality(report, entrant, set_name, _METRIC)
        if quality is None:
            continue
        if contender.name == f"bicubic.x{contender.scale}":
            bicubic[str(contender.scale)] = round(quality, 2)
        else:
            models[contender.name] = round(quality, 2)
    damages = ", ".join(report.settings["damages"])
    count = report.settings["sets"][set_name]
    metric = f"100 SSIM - 1.5 NIQE, mean of {count} images of {set_name}: {damages}"
    whole = {"metric": metric, "bicubic": bicubic, "models": models}
    path.write_text(json.dumps(whole, indent=1) + "\n")
