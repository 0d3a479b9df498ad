"""Colour profiles (ICC): which ones are usable, and the way from them to sRGB."""

from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

MAX_BYTES = 2**20  # bytes; Pillow reads no larger profile from a PNG file
_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
_STRIP_PIXELS = 2**20  # pixels converted at a time


def select_profile(icc: object, mode: str) -> bytes | None:
    """Return `icc` where it describes images of Pillow's `mode` and is not corrupt, else None."""
    if not isinstance(icc, bytes) or _SPACES.get(icc[16:20]) != mode or icc[36:40] != b"acsp":
        return None
    try:
        _transform(icc, mode)
    except (ImageCms.PyCMSError, OSError):
        return None
    return icc


def convert_image_to_srgb(image: Pillow.Image, icc: object) -> Pillow.Image:
    """Return a CMYK or LAB image in sRGB, through its profile where that is usable."""
    profile = select_profile(icc, image.mode)
    if profile is None and image.mode != "LAB":
        return image.convert("RGB")
    made = ImageCms.applyTransform(image, _transform(profile, image.mode))
    assert made is not None
    return made


def convert_to_srgb(colour: NDArray[Any], icc: bytes) -> NDArray[Any]:
    """Return (h, w, 1 or 3) levels in sRGB; as they are where `icc` does not fit, or at 16 bits."""
    mode = "L" if colour.shape[2] == 1 else "RGB"
    # Pillow converts 8 bits only; the formats for 16 bits all hold a profile.
    if colour.dtype != np.uint8 or select_profile(icc, mode) is None:
        return colour
    convert = partial(ImageCms.applyTransform, transform=_transform(icc, mode))
    made = np.empty_like(colour)
    rows = max(1, _STRIP_PIXELS // colour.shape[1])
    for top in range(0, colour.shape[0], rows):
        strip = np.ascontiguousarray(colour[top : top + rows])
        converted = convert(Pillow.fromarray(strip[..., 0] if mode == "L" else strip))
        # Grey comes back as R = G = B.
        made[top : top + rows] = np.asarray(converted)[..., : colour.shape[2]]
    return made


def _transform(icc: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    """From `icc`, or CIE L*a*b* where None, to sRGB; raises PyCMSError or OSError."""
    source = ImageCms.createProfile("LAB") if icc is None else BytesIO(icc)
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(source),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
