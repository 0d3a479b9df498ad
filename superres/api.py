"""The engine in three functions: `upscale`, `load` and `models`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from contract.restoration import WrongChain, read_chain
from superres.catalogue import ROWS, find_model
from superres.codecs.decode import decode
from superres.codecs.pillow_frames import to_pillow
from superres.custom.detect import WEIGHTS_SUFFIXES, detect_network
from superres.diffusion.spec import SPEC
from superres.errors import BadImage, BadOption
from superres.image.frame import Frame, Pixels
from superres.image.size_expression import SizeExpression
from superres.inference.device import Device, find_device
from superres.inference.upscaler import Upscaler
from superres.model_loader import NetworkModel
from superres.model_spec import ModelSpec
from superres.pipeline import OutputOptions, upscale_frame
from superres.pipeline import upscale as upscale_image
from superres.request_options import read_option
from superres.restoration.chained_model import Blending
from superres.restoration.loading import chain_steps
from superres.weights.store import Store

__all__ = ["DEFAULT_MODEL", "load", "models", "upscale"]

DEFAULT_MODEL = "compact.photo-x4"
"""Its weights are embedded: nothing is downloaded."""


def models() -> tuple[ModelSpec, ...]:
    """Return the rows of all models, in the order of the documentation."""
    return (*ROWS, SPEC)


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    offline: bool = False,
    restore: str | Sequence[str] | None = None,
    strength: float = 1.0,
    face_model: str | None = None,
) -> Upscaler:
    """Load a model of the catalogue, to upscale many images with it.

    Args:
        model: A name that `models` lists, of a network: Stable Diffusion needs a prompt and is
            loaded by superres.diffusion.model.DiffusionModel; or a weights file of one's own, as a
            Path or as text that ends in .safetensors, .pth, .pt or .ckpt.
        device: auto, cpu, mps, cuda or cuda:N.
        weights: A file or folder used instead of the publisher's file.
        offline: Never download.
        restore: Steps of restoration in their order, or a preset, such as ["deblock", "upscale"];
            without "upscale" the size stays. A weights file that keeps the size is a step too.
        strength: 0..1, how much of the result is blended over the input, enlarged by Lanczos.
        face_model: For the step "faces"; by default gfpgan.v1.4.

    Returns:
        The model on the device; safe to call from several threads.

    Raises:
        BadOption: There is no such model, device or step.
        Misconfigured: The weights are missing, damaged or those of another architecture.
    """
    store = Store.from_environment(offline=offline or None)
    path = None if weights is None else Path(weights)
    if isinstance(model, Path) or model.lower().endswith(WEIGHTS_SUFFIXES):
        path = Path(model)
        spec = detect_network(path)
    else:
        spec = find_model(model)
    try:
        steps = () if restore is None else read_chain(restore)
    except WrongChain as error:
        raise BadOption("restore", restore, str(error)) from error
    loaded = NetworkModel(spec, Device(find_device(device)), store, path)
    blending = Blending(read_option("strength", strength))
    return chain_steps(loaded, steps, blending, store, face_model)


@overload
def upscale(
    image: Pixels,
    model: str | Upscaler = ...,
    *,
    scale: str | None = ...,
    tile_overlap: int | None = ...,
) -> Pixels: ...
@overload
def upscale(
    image: Pillow.Image,
    model: str | Upscaler = ...,
    *,
    scale: str | None = ...,
    tile_overlap: int | None = ...,
) -> Pillow.Image: ...
@overload
def upscale(
    image: bytes | Path,
    model: str | Upscaler = ...,
    *,
    scale: str | None = ...,
    tile_overlap: int | None = ...,
) -> bytes: ...


def upscale(
    image: Pixels | Pillow.Image | bytes | Path,
    model: str | Upscaler = DEFAULT_MODEL,
    *,
    scale: str | None = None,
    tile_overlap: int | None = None,
) -> Pixels | Pillow.Image | bytes:
    """Upscale one image.

    Args:
        image: An array (h, w), (h, w, 1) grey, (h, w, 3) RGB or (h, w, 4) RGBA of uint8 or uint16;
            Pillow's image in 8 bits; the bytes of an image file; or its path.
        model: A name that `models` lists, or what `load` returned.
        scale: FFmpeg's width:height, e.g. "600:-1" or "iw*2:ih*2"; by default the image times the
            model's scale, which is also the most.
        tile_overlap: Input pixels that tiles see beyond what is kept of them; by default the
            model's own exact amount.

    Returns:
        An array (h, w, c) of the same type; Pillow's image; or the bytes of a file in the format of
        the one that came, PNG where that is not written.

    Raises:
        BadImage: There is no usable image.
        BadOption: `model` or `scale` is wrong.
        Misconfigured: The weights cannot be had.
    """
    upscaler = load(model) if isinstance(model, str) else model
    expression = None if scale is None else SizeExpression.parse(scale)
    options = OutputOptions(scale=expression, overlap=tile_overlap, keep_metadata=True)
    if isinstance(image, bytes | Path):
        data = image if isinstance(image, bytes) else image.read_bytes()
        return upscale_image(decode(data), upscaler, options).encoded.data
    if isinstance(image, Pillow.Image):
        return to_pillow(upscale_frame(_read_pillow(image), upscaler, options))
    frame = upscale_frame(_split_alpha(image), upscaler, options)
    return frame.rows(0, frame.size.height)


def _read_pillow(image: Pillow.Image) -> Frame:
    """Return Pillow's image as a frame of 8 bits, its palette resolved."""
    if image.mode.startswith(("I", "F")):
        raise BadImage(
            f"an image of mode {image.mode}: expected 8 bits; pass an array of uint16 for 16 bits",
            code="MODE",
        )
    mode = "L" if image.mode == "1" else image.mode
    if mode not in {"L", "LA", "RGB", "RGBA"}:
        mode = "RGBA" if image.has_transparency_data else "RGB"
    return _split_alpha(np.array(image.convert(mode)))


def _split_alpha(pixels: NDArray[Any]) -> Frame:
    """Return an array as a frame, its alpha apart."""
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3) or not pixels.size:
        raise BadImage(
            f"an array of {pixels.dtype} and shape {pixels.shape}: expected uint8 or uint16, "
            "(height, width) or (height, width, 1 to 4)",
            code="SHAPE" if pixels.dtype in (np.uint8, np.uint16) else "DTYPE",
        )
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    has_alpha = pixels.shape[2] in (2, 4)
    if pixels.shape[2] > 4:
        raise BadImage(f"an array of {pixels.shape[2]} channels: expected 1 to 4", code="SHAPE")
    colour = np.ascontiguousarray(pixels[..., : pixels.shape[2] - has_alpha])
    return Frame(colour, np.ascontiguousarray(pixels[..., -1]) if has_alpha else None)
