"""The way of a face into an aligned square of 512 pixels and back into the enlarged image.

Coordinates are those of pixel centres, which lie at whole numbers, as OpenCV has them: enlarging
`s` times takes x to s·x + (s - 1)/2, and the centre of the first pixel to (s - 1)/2.
"""

from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from superres.faces.networks import FACE
from superres.geometry import Box, Size, split_into_tiles
from superres.image.frame import Pixels

Floats = NDArray[np.float32]
Landmarks = NDArray[np.float64]  # (5, 2): x, y of left and right eye, nose, corners of the mouth
Matrix = NDArray[np.float64]  # (2, 3): an affine map of x, y

# Where eyes, nose and mouth lie in FFHQ's faces of 512x512, which the restorers were trained on.
TEMPLATE: Landmarks = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
MIN_EYE_DISTANCE = 5  # pixels of the image; below, there is nothing to restore from
_OUTSIDE = np.array((132, 133, 135), np.float32) / 255  # RGB of a face past the image's border
_REACH = 3  # pixels that the filters look at either way
LEFT_OUT = (0, 14, 16, 17, 18)  # ParseNet's background, hat, necklace, neck and cloth
BLUR, SIGMA, RIM = 101, 11, 10  # of the mask, in pixels of an aligned face
BLOCK = Size(1024, 1024)  # pasted at once: bounds memory whatever the size of the face


def estimate_alignment(landmarks: Landmarks) -> Matrix | None:
    """Return the similarity that takes `landmarks` to TEMPLATE; None where they fit no face at
    all, or one too small.
    """
    if np.hypot(*(landmarks[0] - landmarks[1])) < MIN_EYE_DISTANCE:
        return None
    # Untyped: the stubs promise a matrix where there may be None.
    found: Any = cv2.estimateAffinePartial2D(landmarks, TEMPLATE, method=cv2.LMEDS)[0]
    if found is None or not np.isfinite(found).all() or not found[:, :2].any():
        return None
    return np.asarray(found, np.float64)


def cut_out_face(image: Pixels, matrix: Matrix) -> Floats:
    """Cut the aligned face out of an image.

    Args:
        image: (h, w, 1 or 3), uint8 or uint16.
        matrix: The map from the image to the aligned face.

    Returns:
        (512, 512, 3), fp32 in 0..1; a face that is larger in the image is shrunk by antialiased
        Lanczos, and what is left is interpolated cubically.
    """
    height, width, channels = image.shape
    zoom = _measure_zoom(matrix)
    margin = _REACH * (max(1.0, 1 / zoom) + 1 / zoom)
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    face: Floats = np.broadcast_to(_OUTSIDE, (FACE, FACE, 3)).astype(np.float32)
    area = _bound_square(inverse, ceil(margin), Size(width, height))
    if min(area.size) <= 0:
        return face
    part = image[area.top : area.bottom, area.left : area.right]
    shift = np.array([[1, 0, area.left], [0, 1, area.top], [0, 0, 1]])
    if zoom < 1:
        size = Size(ceil(area.size.width * zoom), ceil(area.size.height * zoom))
        shift = shift @ _make_enlargement(size, area.size)
        part = _shrink_antialiased(part, size)
    seen = _warp(part.astype(np.float32), matrix @ shift, Size(FACE, FACE), cv2.INTER_CUBIC)
    seen = seen.reshape(FACE, FACE, channels) / np.float32(np.iinfo(image.dtype).max)
    inside = _is_inside(inverse, Size(width, height), margin)
    face[inside] = np.clip(seen, 0, 1)[inside]
    return face


def invert_alignment(matrix: Matrix, scale: int) -> Matrix:
    """Return the map from an aligned face to the image enlarged `scale` times."""
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64) * scale
    inverse[:, 2] += (scale - 1) / 2
    return inverse


def make_soft_mask(classes: NDArray[np.int64]) -> Floats:
    """Return how much of an aligned face counts, 0..1 (512, 512): its own parts, with soft
    borders.
    """
    mask = np.isin(classes, LEFT_OUT, invert=True).astype(np.float32)
    once = cv2.GaussianBlur(mask, (BLUR, BLUR), SIGMA)
    twice = np.asarray(cv2.GaussianBlur(once, (BLUR, BLUR), SIGMA), np.float32)
    inside = np.zeros_like(twice)
    inside[RIM:-RIM, RIM:-RIM] = twice[RIM:-RIM, RIM:-RIM]
    return np.clip(inside, 0, 1)


def paste(
    image: Pixels, face: Floats, mask: Floats, inverse: Matrix, strength: float = 1.0
) -> None:
    """Blend an aligned face into an image in place.

    A face that is smaller in the image is shrunk by antialiased Lanczos, and what is left is
    interpolated cubically. Pixels that the mask does not reach keep their values exactly.

    Args:
        image: (h, w, channels), uint8 or uint16.
        face: (512, 512, channels), fp32 in 0..1.
        mask: (512, 512), fp32: how much of the face counts.
        inverse: The map from the aligned face to the image.
        strength: What the mask is multiplied with, 0..1.
    """
    area = bound_face(inverse, Size(image.shape[1], image.shape[0]))
    if min(area.size) <= 0:
        return
    zoom = _measure_zoom(inverse)
    if zoom < 1:
        side = ceil(FACE * zoom)
        enlargement = _make_enlargement(Size(side, side), Size(FACE, FACE))
        inverse = inverse @ enlargement
        face = _shrink_antialiased(face, Size(side, side))
        # Lanczos would put ripples where the mask is 0.
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    for _, core in split_into_tiles(area.size, BLOCK, overlap=0):
        left, top = area.left + core.left, area.top + core.top
        part = image[top : area.top + core.bottom, left : area.left + core.right]
        shifted = inverse - np.array([[0, 0, left], [0, 0, top]])
        weight = _warp(mask, shifted, core.size, cv2.INTER_LINEAR) * np.float32(strength)
        if weight.any():
            part[...] = _blend(part, _warp(face, shifted, core.size, cv2.INTER_CUBIC), weight)


def bound_face(inverse: Matrix, size: Size) -> Box:
    """Return the part of an image of `size` in which the aligned face comes to lie."""
    # A pixel of the face spreads to its neighbours, hence one more on every side.
    return _bound_square(inverse, 1, size)


def _bound_square(inverse: Matrix, margin: int, size: Size) -> Box:
    """Return what lies in an image of `size` of the aligned square and a margin around it."""
    corners = np.array([[0, 0, 1], [FACE, 0, 1], [0, FACE, 1], [FACE, FACE, 1]]) @ inverse.T
    left, top = (int(edge) for edge in np.floor(corners.min(axis=0)) - margin)
    right, bottom = (int(edge) for edge in np.ceil(corners.max(axis=0)) + 1 + margin)
    return Box(max(left, 0), max(top, 0), min(right, size.width), min(bottom, size.height))


def _measure_zoom(matrix: Matrix) -> float:
    """Return how many times larger a similarity makes lengths."""
    return float(abs(np.linalg.det(matrix[:, :2])) ** 0.5)


def _make_enlargement(small: Size, large: Size) -> NDArray[np.float64]:
    """Return the map (3, 3) from an image of size `small` to the same at size `large`."""
    x, y = large.width / small.width, large.height / small.height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _is_inside(inverse: Matrix, size: Size, margin: float) -> NDArray[np.bool_]:
    """Return which pixels (512, 512) of the aligned face lie in the image or not far beyond it."""
    steps = np.arange(FACE)
    inside = np.ones((FACE, FACE), bool)
    for (along, down, start), edge in zip(inverse, size, strict=True):
        place = along * steps + (down * steps + start)[:, None]
        inside &= (place >= -0.5 - margin) & (place <= edge - 0.5 + margin)
    return inside


def _shrink_antialiased(values: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return (h, w, channels) of uint8, uint16 or fp32 at a smaller `size`, by Lanczos-3."""
    planes = (Pillow.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(values, 2, 0))
    shrunk = [np.asarray(plane.resize(size, Pillow.Resampling.LANCZOS)) for plane in planes]
    return np.stack(shrunk, axis=2)


def _warp(values: Floats, matrix: Matrix, size: Size, interpolation: int) -> Floats:
    """Return (h, w) or (h, w, channels) as `matrix` maps it into `size`; its border goes on,
    except that of a mask, which is 0 there.
    """
    mode = cv2.BORDER_REPLICATE if values.ndim == 3 else cv2.BORDER_CONSTANT
    warped = cv2.warpAffine(values, matrix, size, flags=interpolation, borderMode=mode)
    return np.asarray(warped, np.float32)


def _blend(part: Pixels, face: Floats, weight: Floats) -> Pixels:
    """Return `part` (h, w, channels) where `weight` is 0, `face` in 0..1 where it is 1, rounded."""
    white = int(np.iinfo(part.dtype).max)
    base = part.astype(np.float32)
    restored = np.clip(face.reshape(part.shape), 0, 1) * white
    mixed = np.clip(np.rint(base + weight[..., None] * (restored - base)), 0, white)
    return mixed.astype(np.uint16) if part.dtype == np.uint16 else mixed.astype(np.uint8)
