"""A page on which people choose between two results without knowing whose they are."""

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from superres.comparison.contenders import Contender, list_places, order_scales
from superres.comparison.crops import CropPlan, plan_crops
from superres.comparison.measuring.crop import write_crop
from superres.comparison.measuring.worker import Worker, choose_time_limit
from superres.comparison.report.write import escape_script, make_data_url, read_template, render
from superres.comparison.settings import CompareSettings
from superres.errors import BadOption

__all__ = ["write_blind_page"]

_WIDTH, _HEIGHT = 192, 144  # pixels of input that are shown


def write_blind_page(settings: CompareSettings, contenders: Sequence[Contender]) -> Path:
    """Upscale images by every contender and write the page that shows them in pairs.

    Args:
        settings: Names the images and the folder; models of other scales than the one that most
            have are not shown.
        contenders: Two at least, those without weights apart.

    Returns:
        The page.

    Raises:
        BadOption: There are fewer than two.
        NotMeasured: A model failed.
    """
    rivals = [contender for contender in contenders if contender.has_weights]
    scale = next(iter(order_scales(rivals)), 0)
    rivals = [contender for contender in rivals if contender.scale == scale]
    if len(rivals) < 2:
        raise BadOption("--models", " ".join(settings.models), "two models of one scale at least")
    crops = plan_crops(settings, {scale}, _WIDTH, _HEIGHT)
    place = list_places(settings.device, settings.precisions)[0]
    images: list[dict[str, object]] = [{"name": crop.name, "results": {}} for crop in crops]
    for rival in tqdm(rivals, unit="model", disable=None):
        with Worker(rival, place) as worker:
            for crop, image in zip(crops, images, strict=True):
                results = image["results"]
                assert isinstance(results, dict)
                results[rival.name] = make_data_url(_upscale(crop, worker, settings.max_seconds))
    page = settings.output / "blind.html"
    text = render(
        "blind.html.j2",
        data=escape_script(json.dumps({"images": images, "models": [r.name for r in rivals]})),
        style=read_template("report.css"),
        script=read_template("bradley_terry.js") + read_template("blind.js"),
    )
    page.write_text(text)
    return page


def _upscale(crop: CropPlan, worker: Worker, max_seconds: float) -> Path:
    """Return the file of a result."""
    request = crop.make_request(worker.contender, "blind", max_seconds)
    worker.measure(write_crop, choose_time_limit(max_seconds), request)
    return request.target
