"""How large an image will be in memory, told by its header: no pixel is read or made."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from superres.codecs import tiff
from superres.codecs.decode import DEFAULT_LIMITS, MODES, READERS, blame_file, select_frames
from superres.codecs.limits import Limits, check_size
from superres.codecs.png import chunks
from superres.codecs.sniff import sniff_format
from superres.codecs.structure import read_gif_extent, read_icon_sizes, read_webp_canvas
from superres.geometry import Size

TENSOR = "tensor"
_SAMPLES_PER_PIXEL = 277  # a tag of TIFF


class Dimensions(NamedTuple):
    """An image's `size` as it is stored, its channels with alpha, bits a sample, and frames.

    `format` is one of superres.codecs.sniff.SIGNATURES, or TENSOR. Where a header leaves it open
    whether there is alpha, there is.
    """

    format: str
    size: Size
    channels: int
    bit_depth: int = 8
    frames: int = 1

    @property
    def sample_bytes(self) -> int:
        """What the samples of a pixel take."""
        return self.channels * self.bit_depth // 8

    @property
    def bytes(self) -> int:
        """What all frames take."""
        return self.size.pixels * self.sample_bytes * self.frames


def probe(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Dimensions:
    """Return the dimensions of the image in `data`. Raises what codecs.decode.decode raises of
    them.

    Some of Pillow's readers take memory for pixels when they open a file: those formats are read
    here, the others are opened.
    """
    name = sniff_format(data, limits)
    with blame_file(name):
        found = _PROBES.get(name, _probe_with_pillow)(name, data, limits)
    check_size(found.size, found.frames, limits)
    return found


def probe_tensor(array: object) -> Dimensions | None:
    """Return the dimensions of the image in a tensor; None where it holds none."""
    values = array if isinstance(array, np.ndarray) else None
    if values is None or values.ndim not in (2, 3) or not values.size:
        return None
    channels = values.shape[2] if values.ndim == 3 else 1
    return Dimensions(TENSOR, Size(values.shape[1], values.shape[0]), min(channels, 4))


def _probe_with_pillow(name: str, data: bytes, limits: Limits) -> Dimensions:
    image_file = READERS[name].opener(BytesIO(data))
    size = Size(*image_file.size)
    check_size(size, 1, limits)
    frames = len(select_frames(image_file, limits)[0])
    return Dimensions(name, size, _channels(image_file), _depth(image_file, data), frames)


def _channels(image_file: ImageFile.ImageFile) -> int:
    """Return what an image is decoded to: grey stays grey, all else becomes RGB."""
    if isinstance(image_file, TiffImageFile) and tiff.is_deep(image_file):
        return min(int(image_file.tag_v2.get(_SAMPLES_PER_PIXEL, 1)), 4)
    if image_file.mode.startswith("I"):
        return 1
    channels = len(MODES.get(image_file.mode, "RGB"))
    return channels + (channels % 2 and image_file.has_transparency_data)


def _depth(image_file: ImageFile.ImageFile, data: bytes) -> int:
    if isinstance(image_file, TiffImageFile):
        return 16 if tiff.bits(image_file) & {12, 16} else 8
    header = chunks.read_header(data) if isinstance(image_file, PngImageFile) else None
    deep = image_file.mode.startswith("I") or (header is not None and header.bit_depth == 16)
    return 16 if deep else 8


def _probe_webp(name: str, data: bytes, _limits: Limits) -> Dimensions:
    extended = data[12:16] == b"VP8X"
    alpha = data[12:16] == b"VP8L" or (extended and bool(data[20] & 0x10))
    frames = max(data.count(b"ANMF"), 1) if extended and data[20] & 0x02 else 1
    return Dimensions(name, read_webp_canvas(data), 3 + alpha, 8, frames)


def _probe_gif(name: str, data: bytes, limits: Limits) -> Dimensions:
    size, frames = read_gif_extent(data, limits)
    return Dimensions(name, size, 4, 8, max(frames, 1))


def _probe_icon(name: str, data: bytes, limits: Limits) -> Dimensions:
    sizes = list(read_icon_sizes(data))
    largest = max(sizes, key=lambda size: size.pixels, default=None)
    return Dimensions(name, largest, 4) if largest else _probe_with_pillow(name, data, limits)


_PROBES: Mapping[str, Callable[[str, bytes, Limits], Dimensions]] = {
    "WebP": _probe_webp,
    "GIF": _probe_gif,
    "ICO": _probe_icon,
}
