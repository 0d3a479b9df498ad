"""Documents to requests of generators and back: prompts, sizes, masks, both images."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from docarray import Document
from numpy.typing import NDArray

from contract.option import write_exactly
from contract.options import ENDPOINT_OPTIONS, GENERATE_OPTIONS
from executors.document import UpscaleRequest, make_lookup, make_reader, read_request, write_image
from superres.codecs.decode import Limits, decode
from superres.codecs.encode import FORMATS, encode, fit_frame
from superres.errors import BadImage, BadOption
from superres.generation.generator import GeneratedImage
from superres.generation.options import PromptSampling
from superres.image.frame import Frame, Image

__all__ = [
    "GenerateRequest",
    "read_generate_request",
    "read_mask",
    "read_pixels",
    "write_generated",
]


@dataclass(frozen=True)
class GenerateRequest:
    """What one Document asks of a generator; None leaves a side to the model."""

    endpoint: str
    sampling: PromptSampling
    upscale: UpscaleRequest  # what is done with the image that was made
    width: int | None = None
    height: int | None = None
    change: float = 0.0
    enlarge: bool = True
    refine: float = 0.0


def read_generate_request(
    endpoint: str, document: Document, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> GenerateRequest:
    """Return the options of a Document: its tags first, then the parameters.

    Raises BadOption that names option, value and what is allowed.
    """
    options = ENDPOINT_OPTIONS[endpoint]
    look = make_lookup(options, document.tags, parameters)
    read = make_reader(options, look)
    prompt = read("prompt")
    if prompt is None or not prompt.strip():
        raise BadOption("prompt", prompt, "text that says what the image shows")
    seed = read("seed")
    sampling = PromptSampling(
        prompt,
        secrets.randbits(32) if seed is None else seed,
        read("negative_prompt"),
        read("steps"),
        read("guidance_scale"),
    )
    own = {
        name: read(name)
        for name in ("width", "height", "change", "enlarge", "refine")
        if name in options
    }
    # The generator's prompt, steps and seed are not those of an upscaler.
    tags, rest = (
        {name: value for name, value in layer.items() if name not in GENERATE_OPTIONS}
        for layer in (document.tags, parameters)
    )
    upscale = read_request(SimpleNamespace(tags=tags), rest, defaults)
    return GenerateRequest(endpoint, sampling, upscale, **own)


def read_pixels(image: Image) -> NDArray[np.uint8]:
    """Return an image's first frame (h, w, 3) in sRGB of 8 bits, laid on white."""
    colour = fit_frame(image.frames[0], FORMATS["jpeg"], image.icc).colour
    pixels = np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour
    return np.ascontiguousarray(pixels, np.uint8)


def read_mask(document: Document, shape: tuple[int, int], limits: Limits) -> NDArray[np.uint8]:
    """Return the mask in a Document's first chunk, of the image's shape (h, w).

    White, or opaque where it has alpha alone, is what is made anew. Raises BadImage.
    """
    blob = document.chunks[0].blob if document.chunks else b""
    if not blob:
        allowed = "an image file as the blob of the Document's first chunk, white where damaged"
        raise BadImage(f"no mask: expected {allowed}", code="NO_IMAGE", option="mask")
    frame = fit_frame(decode(blob, limits).frames[0], FORMATS["jpeg"], None)
    mask = frame.colour.max(axis=2)
    if mask.shape != shape:
        raise BadImage(
            f"a mask of {mask.shape[1]}x{mask.shape[0]} pixels: expected that of the image, "
            f"{shape[1]}x{shape[0]}",
            code="SHAPE",
            option="mask",
        )
    if not mask.any():
        raise BadImage("the mask has no white pixel", code="SHAPE", option="mask")
    return np.ascontiguousarray(mask, np.uint8)


def write_generated(
    document: Document,
    request: GenerateRequest,
    generator: str,
    made: GeneratedImage,
    result: Frame,
    record: Mapping[str, Any],
) -> None:
    """Put the result into a Document, and the image that was made into its first chunk."""
    options, sampling = request.upscale.options, request.sampling
    image_format = options.image_format or FORMATS["png"]
    image = Image((result,), "png")
    encoded = encode(image, image_format, options.quality, False, options.png_compression)
    write_image(document, encoded, request.upscale.drop_image_content)
    small = encode(Image((Frame(made.pixels),), "png"), "png")
    document.chunks = [Document(blob=small.data, mime_type=small.mime_type)]
    document.tags[request.endpoint[1:]] = {
        "generator": generator,
        "seed": write_exactly(sampling.seed),
        "steps": sampling.steps,
        "guidance_scale": sampling.guidance_scale,
        "flagged": made.flagged,
        "made_size": [made.pixels.shape[1], made.pixels.shape[0]],
        "output_size": list(result.size),
        "image_format": encoded.format,
        **record,
    }
