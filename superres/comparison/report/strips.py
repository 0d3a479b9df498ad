"""Crops side by side: input, bicubic, each model, the original; labelled as the article does it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from superres.comparison.contenders import BICUBIC
from superres.comparison.crops import CropPlan
from superres.comparison.report.document import Report

__all__ = ["Panel", "Strip", "draw_strip", "list_strips"]

_CAPTION_HEIGHT, _FONT_SIZE = 20, 12
_MAX_PANELS = 4  # side by side


class Panel(NamedTuple):
    """A crop and its label; `cell` is what the label's figures come from."""

    label: str
    path: Path
    cell: str = ""


class Strip(NamedTuple):
    """The crops of one image, of one damage and scale."""

    title: str
    name: str
    panels: tuple[Panel, ...]
    width: int  # of the results, in pixels
    height: int


def list_strips(report: Report) -> list[Strip]:
    """List the strips of a report; models whose crop was left out are not in them."""
    return [_make_strip(report, crop) for crop in report.crops]


def _make_strip(report: Report, crop: CropPlan) -> Strip:
    panels = [Panel("input", report.crop_folder / crop.get_file("input"))]
    for entrant in report.entrants:
        found = report.get("image", entrant, crop.name)
        if found is None or entrant.contender.scale != crop.scale:
            continue
        key, values = found
        name = BICUBIC if entrant.contender.system == BICUBIC else entrant.contender.name
        memory = values.get("device_mb", values["peak_mb"])
        part = "" if values["whole"] else "_crop"  # the figures are not those of the image
        label = f"{name}{part}_{values['seconds']:.3g}s_{memory:.0f}MB"
        panels.append(Panel(label, report.crop_folder / values["file"], str(key)))
    if crop.is_original:
        panels.append(Panel("original", report.crop_folder / crop.get_file("original")))
    damage = "" if crop.damage == "clean" else f", {crop.damage}"
    width, height = crop.size
    title = f"{crop.source.name}{damage}: {width}x{height} pixels enlarged x{crop.scale}"
    sides = crop.scale * crop.shown[2], crop.scale * crop.shown[3]
    name = crop.name.replace(" ", "_").replace("/", "_")
    return Strip(title, name, tuple(panels), *sides)


def draw_strip(strip: Strip) -> PillowImage.Image:
    """Draw a strip as one image, the input enlarged without smoothing."""
    columns = min(len(strip.panels), _MAX_PANELS)
    rows = -(-len(strip.panels) // columns)
    pitch = strip.height + _CAPTION_HEIGHT
    sheet = PillowImage.new("RGB", (columns * strip.width, rows * pitch), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    for number, panel in enumerate(strip.panels):
        left, top = number % columns * strip.width, number // columns * pitch
        with PillowImage.open(panel.path) as crop:
            size = (strip.width, strip.height)
            sheet.paste(
                crop.resize(size, PillowImage.Resampling.NEAREST), (left, top + _CAPTION_HEIGHT)
            )
        draw.text((left + 4, top + 3), _shorten(panel.label, strip.width, font), "black", font)
    return sheet


def _shorten(label: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while len(label) > 1 and font.getlength(label) > width - 8:
        label = label[:-1]
    return label


def draw_strips(strips: Sequence[Strip], folder: Path) -> None:
    """Write every strip as PNG into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for strip in strips:
        draw_strip(strip).save(folder / f"{strip.name}.png", optimize=True)
