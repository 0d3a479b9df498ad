"""An image in memory: its frames, and what lies under its transparent parts."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.problem import quote
from superres.errors import BadImage
from superres.geometry import Size

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: `colour` (h, w, 3) RGB or (h, w, 1) grey, `alpha` (h, w) or None.

    Both are uint8, or both uint16 with 65535 as white and opaque; colour is not premultiplied.
    `milliseconds` is how long an animation shows it.
    """

    colour: Pixels
    alpha: Pixels | None = None
    milliseconds: int = 0

    def __post_init__(self) -> None:
        assert self.colour.ndim == 3, self.colour.shape
        assert self.colour.shape[2] in (1, 3), self.colour.shape
        assert self.colour.dtype in (np.uint8, np.uint16), self.colour.dtype
        if self.alpha is not None:
            assert self.alpha.shape == self.colour.shape[:2], self.alpha.shape
            assert self.alpha.dtype == self.colour.dtype, self.alpha.dtype

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.colour.shape[1], self.colour.shape[0])

    @property
    def white(self) -> int:
        """The value of white and of opaque: 255 or 65535."""
        return int(np.iinfo(self.colour.dtype).max)

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return self.colour.dtype.itemsize * 8

    @property
    def channels(self) -> int:
        """1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
        return int(self.colour.shape[2]) + (self.alpha is not None)

    def rows(self, top: int, bottom: int) -> Pixels:
        """Return the (n, w, channels) pixels of some rows with alpha as their last channel."""
        if self.alpha is None:
            return self.colour[top:bottom]
        return np.concatenate([self.colour[top:bottom], self.alpha[top:bottom, :, None]], axis=2)

    def band(self, top: int, bottom: int) -> "Frame":
        """Return the frame of some of the rows, which shares their memory."""
        alpha = None if self.alpha is None else self.alpha[top:bottom]
        return replace(self, colour=self.colour[top:bottom], alpha=alpha)


@dataclass(frozen=True)
class ImageMetadata:
    """What a file says beside the pixels; see Image."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    loop: int = 0
    frames_dropped: int = 0


@dataclass(frozen=True, eq=False)
class Image:
    """A still (one frame), an animation or a document, and what its file says beside the pixels.

    Frames are alike in size, depth and channels. `format` names the file format to answer in,
    `icc` fits the frames' channels (None: sRGB), `exif` and `xmp` are as the file had them, `loop`
    is how often an animation plays (0: for ever), `frames_dropped` counts pages left out.
    """

    frames: tuple[Frame, ...]
    format: str
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    loop: int = 0
    frames_dropped: int = 0

    def __post_init__(self) -> None:
        assert self.frames, "an image without frames"
        kinds = {(frame.size, frame.channels, frame.bit_depth) for frame in self.frames}
        assert len(kinds) == 1, f"frames that differ: {kinds}"

    @property
    def size(self) -> Size:
        """Width and height of every frame."""
        return self.frames[0].size

    @property
    def metadata(self) -> ImageMetadata:
        """All but the frames, whose memory it does not hold."""
        return ImageMetadata(self.icc, self.exif, self.xmp, self.loop, self.frames_dropped)


def read_tensor(array: object) -> Image:
    """Return the image in a tensor (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA, at 8 bits.

    Values are uint8, or floating point in 0..1, rounded to the nearest level. Anything NumPy takes
    will do. Raises BadImage with DTYPE, SHAPE, NON_FINITE or RANGE.
    """
    try:
        values = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(array).__name__
        raise BadImage(
            f"tensor: a {kind} that is no array: expected uint8, or floats in 0..1", code="DTYPE"
        ) from error
    pixels = np.require(_levels(_reshape(values)), requirements=["C", "W"])
    if pixels.shape[2] < 4:
        return Image((Frame(pixels),), "png")
    colour, alpha = np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return Image((Frame(colour, alpha),), "png")


def _reshape(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values` as (h, w, channels)."""
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim == 3 and values.shape[2] in (1, 3, 4) and values.size:
        return values
    hint = ", so move the channels to the end" if values.shape[:1] in ((1,), (3,), (4,)) else ""
    raise BadImage(
        f"tensor of shape {quote(values.shape)}: expected (height, width) or (height, width, 1, 3 "
        f"or 4), with no side of 0{hint}",
        code="SHAPE",
        option="tensor",
    )


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8-bit levels of uint8 or of floats in 0..1."""
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise BadImage(
            f"tensor of type {values.dtype}: expected uint8 (0..255) or floating point (0..1)",
            code="DTYPE",
            option="tensor",
        )
    low, high = float(values.min()), float(values.max())
    # NaN spreads through min and max, so that two comparisons see every element.
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadImage("tensor with NaN or infinity", code="NON_FINITE", option="tensor")
    if low < 0 or high > 1:
        raise BadImage(
            f"tensor of {values.dtype} with values from {low:.4g} to {high:.4g}: floats are 0..1 "
            "(levels 0..255 are sent as uint8)",
            code="RANGE",
            option="tensor",
        )
    return (values.astype(np.float32) * 255 + 0.5).astype(np.uint8)


def bleed_alpha(frame: Frame) -> Frame:
    """Return `frame` with the nearest visible colour where alpha is 0, so that no filter mixes in
    another.

    The same object where nothing is hidden, or everything.
    """
    if frame.alpha is None or frame.alpha.all() or not frame.alpha.any():
        return frame
    visible = frame.alpha > 0
    # Labels number the visible pixels in an order that OpenCV leaves open, hence the table.
    _, labels = cv2.distanceTransformWithLabels(
        (~visible).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.empty((int(labels.max()) + 1, frame.colour.shape[2]), frame.colour.dtype)
    colours[labels[visible]] = frame.colour[visible]
    return replace(frame, colour=colours[labels])
