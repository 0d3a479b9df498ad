"""Make the images of README and page: a damaged photo, and it enlarged by the embedded models.

python -m tools.strip
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut  # Eileen Collins, NASA 1993, in the public domain

import superres

__all__ = ["make_strip"]

_CROP = (150, 10, 342, 202)
_SMALL = 96  # pixels a side of the photo that is enlarged
_NOISE, _QUALITY = 4.0, 50  # levels; JPEG
_SHOWN = (14, 22, 62, 70)  # of the small photo
_SIDE = 288  # pixels of each panel
_CAPTION = 22


def make_strip(data: bytes) -> Image.Image:
    """Make the strip.

    Args:
        data: The small photo, a JPEG.

    Returns:
        Panels side by side, each with its caption.
    """
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    size = (4 * photo.width, 4 * photo.height)
    panels = {
        f"photo, {photo.width}x{photo.height}": photo.resize(size, Image.Resampling.NEAREST),
        "Lanczos": photo.resize(size, Image.Resampling.LANCZOS),
        "bicubic_pp.x4": superres.upscale(photo, "bicubic_pp.x4"),
        "compact.photo-x4": superres.upscale(photo, "compact.photo-x4"),
    }
    strip = Image.new("RGB", (len(panels) * _SIDE, _SIDE + _CAPTION), "white")
    pen = ImageDraw.Draw(strip)
    for number, (caption, panel) in enumerate(panels.items()):
        left, top, right, bottom = (4 * edge for edge in _SHOWN)
        shown = panel.crop((left, top, right, bottom))
        strip.paste(
            shown.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (number * _SIDE, _CAPTION)
        )
        pen.text((number * _SIDE + 6, 4), caption, fill="black", font=ImageFont.load_default(14))
    return strip


def _damage(photo: Image.Image) -> bytes:
    """Return the photo reduced and with noise, as the JPEG that it becomes."""
    small = photo.resize((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).normal(0, _NOISE, (_SMALL, _SMALL, 3))
    noisy = Image.fromarray(np.rint(np.array(small) + noise).clip(0, 255).astype(np.uint8))
    stream = io.BytesIO()
    noisy.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    sample = _damage(Image.fromarray(astronaut()).crop(_CROP))
    (root / "gateway/static/sample.jpg").write_bytes(sample)
    (root / "docs/images").mkdir(exist_ok=True)
    make_strip(sample).save(root / "docs/images/photo.jpg", quality=88)
