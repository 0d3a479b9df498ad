"""Documents to requests and answers to Documents: the only place that knows tag names."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from docarray import Document
from numpy.typing import NDArray

from contract.model_choice import Choice
from contract.option import Option
from contract.options import DEGRADE_OPTIONS, REQUEST_OPTIONS
from contract.restoration import find_preset_model
from executors.error_response import describe
from executors.source import SourcePolicy, read_source
from superres.codecs.decode import Limits, decode
from superres.codecs.encode import FORMATS, Effort, Encoded, Format, find_format
from superres.codecs.probe import Dimensions, probe, probe_tensor
from superres.degrade import DegradedImage, DegradeOptions
from superres.errors import BadImage, SuperresError, TooLarge
from superres.geometry import Size
from superres.image.frame import Image, read_tensor
from superres.image.size_expression import SizeExpression
from superres.pipeline import Answer, OutputOptions
from superres.request_options import read_option

_URL_SCHEMES = (b"http://", b"https://", b"data:")
_MAX_URL_CHARACTERS = 2048  # a longer text of a URL is no image either, but no URL


_ENDINGS = {ending: f for f in FORMATS.values() for ending in (f.name, *f.names)}


@dataclass(frozen=True)
class UpscaleRequest:
    """What one Document asks for."""

    options: OutputOptions
    model: str | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)  # model-specific options
    drop_image_content: bool = True
    restore: tuple[str, ...] = ()
    strength: float = 1.0
    preset_model: str | None = None  # what a preset is best with
    choice: Choice | None = None  # where the request left the model to the service


def read_request(
    document: Document, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> UpscaleRequest:
    """Return the options of a Document: its tags first, then the parameters, then the Executor's
    YAML.

    Raises BadOption that names option, value and what is allowed.
    """
    look = make_lookup(REQUEST_OPTIONS, document.tags, parameters, defaults)
    read = make_reader(REQUEST_OPTIONS, look)
    scale = read("scale")
    return UpscaleRequest(
        OutputOptions(
            image_format=_read_format(look),
            scale=None if scale is None else SizeExpression.parse(scale),
            quality=read("quality"),
            png_compression=read("png_compression"),
            tile=read("tile"),
            overlap=read("tile_overlap"),
            keep_metadata=read("keep_metadata"),
        ),
        model=read("model"),
        model_options=_read_model_options(read),
        drop_image_content=read("drop_image_content"),
        restore=read("restore") or (),
        strength=read("strength"),
        preset_model=find_preset_model(look("restore")),
    )


Look = Callable[[str], Any]


def make_lookup(options: Mapping[str, Option], *layers: Mapping[str, Any]) -> Look:
    """Return a function from an option's name to its value in the first layer that has one."""

    def look(name: str) -> Any:
        for layer in layers:
            for alias in options[name].names:
                if layer.get(alias) is not None:
                    return layer[alias]
        return None

    return look


def make_reader(options: Mapping[str, Option], look: Look) -> Look:
    """Return a function from an option's name to its checked value, or its default."""

    def read(name: str) -> Any:
        value = look(name)
        return options[name].default if value is None else read_option(name, value, options)

    return read


@dataclass(frozen=True)
class DegradeRequest:
    """What one Document asks for of `/degrade`."""

    options: DegradeOptions
    image_format: Format | None
    effort: Effort
    drop_image_content: bool


def read_degrade_request(
    document: Document, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> DegradeRequest:
    """Return what a Document asks for of `/degrade`; a seed is drawn where it names none.

    Raises BadOption that names option, value and what is allowed.
    """
    look = make_lookup(DEGRADE_OPTIONS, document.tags, parameters, defaults)
    read = make_reader(DEGRADE_OPTIONS, look)
    seed = read("seed")
    return DegradeRequest(
        DegradeOptions(
            read("recipe"), read("reduction"), secrets.randbits(53) if seed is None else seed
        ),
        _read_format(look),
        Effort(read("quality"), read("png_compression")),
        read("drop_image_content"),
    )


def write_degraded(document: Document, request: DegradeRequest, made: DegradedImage) -> None:
    """Put a degraded image into the Document; its id and tags stay."""
    write_image(document, made.encoded, request.drop_image_content)
    document.tags["degrade"] = made.record


def _read_format(look: Look) -> Format | None:
    """Return what the ending of `output_path` says, else `image_format`.

    The clients document that order, and the JavaScript client sends only the path. The path itself
    belongs to the client and is never touched.
    """
    name = look("image_format")
    named = None if name is None else find_format(name)
    path = look("output_path")
    ending = PurePosixPath(path).suffix[1:].lower() if isinstance(path, str) else ""
    return _ENDINGS.get(ending, named)


def _read_model_options(read: Callable[[str], Any]) -> dict[str, Any]:
    """Return the model-specific options that were given; a switch only where it is on."""
    given = {name: read(name) for name, option in REQUEST_OPTIONS.items() if option.models}
    return {name: v for name, v in given.items() if v is not None and v is not False}


Content: TypeAlias = bytes | NDArray[Any] | Any
"""An image before it is decoded: the bytes of an image file, or a tensor of whatever kind."""


def needs_fetch(document: Document) -> bool:
    """Return whether the image must be read from a uri first."""
    blob: bytes = document.blob
    return _is_url(blob) if blob else document.tensor is None and bool(document.uri)


def _is_url(blob: bytes) -> bool:
    """Return whether a blob is the text of a URL: the JavaScript client sends that for large
    images.
    """
    return len(blob) <= _MAX_URL_CHARACTERS and blob.startswith(_URL_SCHEMES)


def read_content(document: Document, policy: SourcePolicy) -> Content:
    """Return the image in a Document: its blob, else its tensor, else what its uri names.

    With a blob the uri is never opened: clients send both, and theirs names their own disk. Only a
    blob that is the text of a URL is followed.
    """
    blob: bytes = document.blob
    if blob:
        return read_source(blob.decode("latin-1"), policy) if _is_url(blob) else blob
    if document.tensor is not None:
        return document.tensor
    if document.uri:
        return read_source(document.uri, policy)
    raise BadImage(
        "the Document has no image: set blob (an image file's bytes), tensor or uri",
        code="NO_IMAGE",
        option="blob",
        allowed="blob, tensor or uri",
    )


def probe_content(content: Content, limits: Limits) -> Dimensions | None:
    """Return what decoding will make, told without it; None for a tensor that holds no image."""
    if isinstance(content, bytes):
        return probe(content, limits)
    found = probe_tensor(content)
    if found is not None:
        _check_tensor(found.size, limits)
    return found


def decode_content(content: Content, limits: Limits, measured: Dimensions | None) -> Image:
    """Return the image in `content`; the file of one that was `measured` is checked already."""
    if isinstance(content, bytes):
        return decode(content, limits, measured.format if measured else None)
    image = read_tensor(content)
    _check_tensor(image.size, limits)
    return image


def _check_tensor(size: Size, limits: Limits) -> None:
    """Raise TooLarge for a tensor of more pixels than `limits` allow."""
    if size.pixels > limits.max_pixels:
        raise TooLarge(
            f"tensor of {size} pixels: at most {limits.max_pixels} are allowed",
            code="PIXELS",
            option="tensor",
        )


def write_answer(document: Document, request: UpscaleRequest, model: str, answer: Answer) -> None:
    """Put `answer` into the Document; its id and tags stay."""
    encoded, cost = answer.encoded, answer.cost
    write_image(document, encoded, request.drop_image_content)
    document.tags["upscale"] = {
        "model": model,
        **({"chosen": request.choice.as_tag()} if request.choice else {}),
        "model_scale": answer.model_scale,
        "input_size": list(answer.input_size),
        "output_size": list(answer.output_size),
        "image_format": encoded.format,
        "bit_depth": encoded.bit_depth,
        "frames": encoded.frames,
        "frames_dropped": encoded.frames_dropped,
        "seconds": round(cost.seconds, 6),
        "peak_memory_mb": _to_mebibytes(cost.peak_memory),
        "tiles": cost.tiles,
        "tile_overlap": cost.overlap,
        "tiles_redone_in_fp32": cost.redone,
        **answer.report,
    }


def write_image(document: Document, encoded: Encoded, drop_image_content: bool) -> None:
    """Put an image file into the Document, in place of what came."""
    if drop_image_content:
        document.tensor = None
        document.uri = None
    document.blob = encoded.data
    document.mime_type = encoded.mime_type


def _to_mebibytes(size: int | None) -> float | None:
    """Return bytes as MiB, one decimal."""
    return None if size is None else round(size / 2**20, 1)


def write_error(document: Document, error: SuperresError) -> None:
    """Mark the Document as failed; an answer that failed never carries the input as a result."""
    document.tensor = None
    document.uri = None
    document.blob = None
    document.tags["error"] = describe(error, document.id).as_tag()
