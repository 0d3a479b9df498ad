"""Which part of which image is shown, and what of it is upscaled for that."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PillowImage

from evaluation.protocol import Pixels
from superres.comparison.contenders import BICUBIC, Contender
from superres.comparison.images import BUILT_IN, ImageSource, choose_crop, fingerprint
from superres.comparison.measuring.crop import CropRequest
from superres.comparison.measuring.quality import reduce_image
from superres.comparison.settings import CompareSettings
from superres.model_spec import NetworkSpec

__all__ = ["CropPlan", "plan_crops"]

_WIDTH, _HEIGHT = 96, 72  # pixels of input
_BICUBIC_REACH = 2  # pixels
_SHOWN_DAMAGES = ("clean", "JPEG 40")  # of originals that are reduced


class CropPlan(NamedTuple):
    """A part of an image, for the models of one scale.

    `shown` is left, top, width and height in pixels of input, `folder` where crops are written.
    """

    source: ImageSource
    is_original: bool
    damage: str
    scale: int
    shown: tuple[int, int, int, int]
    size: tuple[int, int]  # width and height of the input
    fingerprint: str
    folder: Path

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"{self.source.name} {self.damage} x{self.scale}"

    @property
    def pixels(self) -> int:
        """Of the whole input."""
        return self.size[0] * self.size[1]

    def get_file(self, contender: str) -> str:
        """Return the name of a contender's crop; `input` and `original` have one too."""
        return f"{self.name}.{contender}.png".replace(" ", "_").replace("/", "_")

    def make_request(self, contender: Contender, mark: str, max_seconds: float) -> CropRequest:
        """Return what a contender upscales.

        Args:
            contender: Of this plan's scale.
            mark: Tells its file from those of other places and pages.
            max_seconds: If it would take longer, the crop alone is upscaled, with as many pixels
                around it as change what is seen of it.

        Returns:
            The request.
        """
        is_affordable = contender.seconds_per_megapixel * self.pixels / 1e6 <= max_seconds
        area = None if is_affordable else self._surround(contender)
        target = self.folder / self.get_file(f"{contender.name}.{mark}")
        return CropRequest(self.source, self.is_original, self.damage, self.shown, area, target)

    def _surround(self, contender: Contender) -> tuple[int, int, int, int]:
        if contender.system == BICUBIC:
            overlap, step = _BICUBIC_REACH, 1
        else:
            spec = contender.spec
            overlap, step = spec.overlap, 1
            if isinstance(spec, NetworkSpec):
                step = math.lcm(spec.align, spec.input_size.multiple_of)
        left, top, width, height = self.shown
        right = min(left + width + overlap, self.size[0])
        bottom = min(top + height + overlap, self.size[1])
        left, top = (max(edge - overlap, 0) // step * step for edge in (left, top))
        return left, top, right - left, bottom - top

    def write_references(self) -> None:
        """Write the crops of the input and, where there is one, of the original."""
        pixels = self.source.read()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_original:
            original, pixels = reduce_image(pixels, self.scale, self.damage, 0)
            enlarged = tuple(self.scale * edge for edge in self.shown)
            _save(original, enlarged, self.folder / self.get_file("original"))
        _save(pixels, self.shown, self.folder / self.get_file("input"))


def plan_crops(
    settings: CompareSettings, scales: Iterable[int], width: int = _WIDTH, height: int = _HEIGHT
) -> list[CropPlan]:
    """Plan the crops of the images that are given, else of the first built-in photo.

    Args:
        settings: Names images, and whether they are originals.
        scales: Of the contenders.
        width: Of the crop, in pixels of input; an image that is smaller is shown whole.
        height: Of the crop.

    Returns:
        One for every image, damage and scale.
    """
    sources = [ImageSource(path.name, path) for path in settings.images]
    is_original = settings.are_originals or not sources
    images = [(source, source.read()) for source in sources or BUILT_IN["photos"][:1]]
    return [
        _plan_crop(
            CropPlan(
                source,
                is_original,
                damage,
                scale,
                (0, 0, width, height),
                (0, 0),
                fingerprint(pixels),
                settings.output / "crops",
            ),
            pixels,
        )
        for source, pixels in images
        for damage in (_SHOWN_DAMAGES if is_original else _SHOWN_DAMAGES[:1])
        for scale in sorted(scales)
    ]


def _plan_crop(crop: CropPlan, pixels: Pixels) -> CropPlan:
    """Return a plan with the size of its input, and the place of the crop in it."""
    small = reduce_image(pixels, crop.scale, "clean", 0)[1] if crop.is_original else pixels
    size = small.shape[1], small.shape[0]
    width, height = min(crop.shown[2], size[0]), min(crop.shown[3], size[1])
    return crop._replace(shown=(*choose_crop(small, width, height), width, height), size=size)


def _save(pixels: Pixels, area: tuple[int, ...], path: Path) -> None:
    left, top, width, height = area
    PillowImage.fromarray(pixels[top : top + height, left : left + width]).save(path)
