"""Documents to requests and answers to Documents: the only place that knows tag names."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeAlias

from docarray import Document
from numpy.typing import NDArray

from executors.error_response import described
from executors.source import SourceGuards, read
from superres.codecs.decode import Limits, decode
from superres.codecs.encode import FORMATS, Format, format_named
from superres.codecs.png.writer import DEFAULT as PNG_COMPRESSION
from superres.codecs.probe import Dimensions, dimensions, tensor_dimensions
from superres.diffusion.options import OPTIONS as SAMPLING
from superres.diffusion.options import checked
from superres.errors import BadImage, BadOption, SuperresError, TooLarge
from superres.geometry import Size
from superres.image.frame import Image, from_tensor
from superres.image.size_expression import ScaleExpression
from superres.pipeline import Answer, Options

URL_SCHEMES = (b"http://", b"https://", b"data:")
LONGEST_URL = 2048  # a longer text of a URL is no picture either, but no URL


class Bounds(NamedTuple):
    """Allowed values of a number, both ends included."""

    least: float
    most: float


NUMBERS: Mapping[str, Bounds] = {
    "quality": Bounds(0, 100),
    "png_compression": Bounds(0, 9),
    "tile": Bounds(0, 16_384),
    "tile_overlap": Bounds(0, 1_024),
}
FRACTIONS: Mapping[str, Bounds] = {"denoise_strength": Bounds(0, 1)}
SWITCHES = ("face_enhance",)
ENDINGS = {ending: f for f in FORMATS.values() for ending in (f.name, *f.names)}
ALIASES = {"tile_overlap": ("tile_overlap", "tile_pad")}


@dataclass(frozen=True)
class Request:
    """What one Document asks for."""

    options: Options
    model: str | None = None
    special: Mapping[str, Any] = field(default_factory=dict)  # model-specific options
    drop_content: bool = True


def read_request(
    document: Document, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Request:
    """The options of a Document: its tags first, then the parameters, then the Executor's YAML.

    Raises BadOption that names option, value and what is allowed.
    """
    look = lookup(document.tags, parameters, defaults)
    scale = look("scale")
    return Request(
        Options(
            image_format=asked_format(look),
            scale=None if scale is None else ScaleExpression.parse(text_of("scale", scale)),
            quality=asked_number(look, "quality", 95),
            png_compression=asked_number(look, "png_compression", PNG_COMPRESSION),
            tile=asked_number(look, "tile", 0),
            overlap=asked_number(look, "tile_overlap", None),
            keep_metadata=asked_switch(look, "keep_metadata", False),
        ),
        model=None if look("model") is None else text_of("model", look("model")),
        special=special_options(look),
        drop_content=asked_switch(look, "drop_image_content", True),
    )


Look = Callable[[str], Any]


def lookup(*layers: Mapping[str, Any]) -> Look:
    """A function from an option's name to its value in the first layer that has one."""

    def look(name: str) -> Any:
        for layer in layers:
            for alias in ALIASES.get(name, (name,)):
                if layer.get(alias) is not None:
                    return layer[alias]
        return None

    return look


def asked_format(look: Look) -> Format | None:
    """What the ending of `output_path` says, else `image_format`.

    The clients document that order, and the JavaScript client sends only the path. The path itself
    belongs to the client and is never touched.
    """
    name = look("image_format")
    named = None if name is None else format_named(name)
    path = look("output_path")
    ending = PurePosixPath(path).suffix[1:].lower() if isinstance(path, str) else ""
    return ENDINGS.get(ending, named)


def asked_number(look: Look, name: str, default: Any) -> Any:
    """A whole number within its bounds; protobuf turns it into a float, people into a string."""
    value, bounds = look(name), NUMBERS[name]
    if value is None:
        return default
    allowed = f"a whole number from {bounds.least} to {bounds.most}"
    number = number_of(name, value, allowed)
    if not number.is_integer() or not bounds.least <= number <= bounds.most:
        raise BadOption(name, value, allowed)
    return int(number)


def special_options(look: Look) -> dict[str, Any]:
    """The model-specific options that were given."""
    given: dict[str, Any] = {}
    for name in SWITCHES:
        if asked_switch(look, name, False):
            given[name] = True
    for name, bounds in FRACTIONS.items():
        value = look(name)
        if value is not None:
            allowed = f"a number from {bounds.least} to {bounds.most}"
            number = number_of(name, value, allowed)
            if not bounds.least <= number <= bounds.most:
                raise BadOption(name, value, allowed)
            given[name] = number
    asked = {name: look(name) for name in SAMPLING}
    return given | {n: checked(n, value) for n, value in asked.items() if value is not None}


def number_of(name: str, value: Any, allowed: str) -> float:
    """`value` as a finite number; digits in a string count, truth values do not."""
    plain = isinstance(value, str) and len(value) <= 32 and value.strip().isascii()
    if isinstance(value, bool) or not (isinstance(value, int | float) or plain):
        raise BadOption(name, value, allowed)
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise BadOption(name, value, allowed) from error
    if not math.isfinite(number) or (plain and "_" in value):
        raise BadOption(name, value, allowed)
    return number


def asked_switch(look: Look, name: str, default: bool) -> bool:
    """A truth value: true, false, or these words."""
    value = look(name)
    if value is None:
        return default
    words: dict[Any, bool] = {"true": True, "false": False, "1": True, "0": False}
    known = words.get(str(value).lower()) if isinstance(value, bool | str) else None
    if known is None and isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if known is None:
        raise BadOption(name, value, "true or false")
    return known


def text_of(name: str, value: Any) -> str:
    """`value` if it is text."""
    if not isinstance(value, str):
        expected = '"width:height" as text' if name == "scale" else "text"
        raise BadOption(name, value, expected, code=f"{name.upper()}_TYPE")
    return value


Content: TypeAlias = bytes | NDArray[Any] | Any
"""A picture before it is decoded: the bytes of an image file, or a tensor of whatever kind."""


def lies_elsewhere(document: Document) -> bool:
    """Whether the picture must be read from a uri first."""
    blob: bytes = document.blob
    return is_url(blob) if blob else document.tensor is None and bool(document.uri)


def is_url(blob: bytes) -> bool:
    """Whether a blob is the text of a URL: the JavaScript client sends that for large pictures."""
    return len(blob) <= LONGEST_URL and blob.startswith(URL_SCHEMES)


def read_content(document: Document, guards: SourceGuards) -> Content:
    """The picture in a Document: its blob, else its tensor, else what its uri names.

    With a blob the uri is never opened: clients send both, and theirs names their own disk. Only a
    blob that is the text of a URL is followed.
    """
    blob: bytes = document.blob
    if blob:
        return read(blob.decode("latin-1"), guards) if is_url(blob) else blob
    if document.tensor is not None:
        return document.tensor
    if document.uri:
        return read(document.uri, guards)
    raise BadImage(
        "the Document has no picture: set blob (an image file's bytes), tensor or uri",
        code="NO_IMAGE",
        option="blob",
        allowed="blob, tensor or uri",
    )


def measured(content: Content, limits: Limits) -> Dimensions | None:
    """What decoding will make, told without it; None for a tensor that holds no picture."""
    if isinstance(content, bytes):
        return dimensions(content, limits)
    found = tensor_dimensions(content)
    if found is not None:
        check_tensor(found.size, limits)
    return found


def decoded(content: Content, limits: Limits) -> Image:
    """The picture in `content`."""
    if isinstance(content, bytes):
        return decode(content, limits)
    image = from_tensor(content)
    check_tensor(image.size, limits)
    return image


def check_tensor(size: Size, limits: Limits) -> None:
    """Raise TooLarge for a tensor of more pixels than `limits` allow."""
    if size.pixels > limits.max_pixels:
        raise TooLarge(
            f"tensor of {size} pixels: at most {limits.max_pixels} are allowed",
            code="PIXELS",
            option="tensor",
        )


def write_answer(document: Document, request: Request, model: str, answer: Answer) -> None:
    """Put `answer` into the Document; its id and tags stay."""
    encoded = answer.encoded
    if request.drop_content:
        document.tensor = None
        document.uri = None
    document.blob = encoded.data
    document.mime_type = encoded.mime_type
    document.tags["upscale"] = {
        "model": model,
        "model_scale": answer.model_scale,
        "input_size": list(answer.input_size),
        "output_size": list(answer.output_size),
        "image_format": encoded.format,
        "bit_depth": encoded.bit_depth,
        "frames": encoded.frames,
        "frames_dropped": encoded.frames_dropped,
        "seconds": round(answer.seconds, 6),
        "peak_memory_mb": megabytes(answer.peak_memory),
        "tiles": answer.tiles,
        "tiles_redone_in_fp32": answer.redone,
        **answer.report,
    }


def megabytes(size: int | None) -> float | None:
    """Bytes as MiB, one decimal."""
    return None if size is None else round(size / 2**20, 1)


def write_error(document: Document, error: SuperresError) -> None:
    """Mark the Document as failed; an answer that failed never carries the input as a result."""
    document.tensor = None
    document.uri = None
    document.blob = None
    document.tags["error"] = {
        name: value
        for name, value in described(error, document.id).items()
        if name in {"code", "message", "option", "allowed"}
    }
