"""The options of `/upscale` as people give them: in a query, in a form, in the description."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.core.problem import Refusal, refusal, shown

LONGEST_VALUE = 2000


@dataclass(frozen=True)
class Option:
    """One option; `least` and `most` belong to the range, `default` is told where it is fixed."""

    name: str
    meaning: str
    kind: str = "string"
    least: float | None = None
    most: float | None = None
    default: Any = None
    choices: tuple[str, ...] = ()
    example: str | None = None
    json_only: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The option in JSON Schema."""
        fields = {
            "type": self.kind,
            "minimum": self.least,
            "maximum": self.most,
            "default": self.default,
            "enum": list(self.choices) or None,
            "examples": [self.example] if self.example else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


IMAGE_FORMATS = ("png", "jpeg", "jpg", "webp", "tiff", "bmp", "gif", "avif")

OPTIONS = (
    Option(
        "image_format",
        "The file format of the result; the input's own by default, png where it has none.",
        choices=IMAGE_FORMATS,
    ),
    Option(
        "scale",
        "FFmpeg's width:height. 600:-1 keeps the aspect ratio, 0 is the input's side, expressions "
        "such as iw*2:ih*2 work. Never larger than the input times the model's scale, which is "
        "the default.",
        example="600:-1",
    ),
    Option("quality", "Of lossy formats.", "integer", 0, 100, 95),
    Option("png_compression", "Of PNG; 0 is none, 9 the smallest.", "integer", 0, 9, 1),
    Option("tile", "Tile edge in input pixels; 0 chooses.", "integer", 0, 16_384, 0),
    Option(
        "tile_overlap",
        "Overlap of tiles in input pixels; the model's own exact amount by default.",
        "integer",
        0,
        1_024,
    ),
    Option("tile_pad", "Another name of tile_overlap.", "integer", 0, 1_024),
    Option("model", "A model that GET /models lists; the server's first by default."),
    Option(
        "denoise_strength",
        "0 keeps noise, 1 removes it; models that list it only.",
        "number",
        0,
        1,
    ),
    Option("face_enhance", "Restores faces; models that list it only.", "boolean"),
    Option("prompt", "What the picture shows; models that list it only."),
    Option("negative_prompt", "What it does not show; models that list it only."),
    Option("steps", "Denoising steps; models that list it only.", "integer", 1, 150),
    Option(
        "guidance_scale", "How much the prompt counts; models that list it only.", "number", 0, 30
    ),
    Option(
        "noise_level",
        "Noise added to the input, which frees the model from it; models that list it only.",
        "integer",
        0,
        350,
    ),
    Option(
        "seed",
        "The same seed gives the same picture; models that list it only.",
        "integer",
        0,
        2**63 - 1,
    ),
    Option(
        "keep_metadata",
        "EXIF and XMP travel to the result, never orientation or thumbnail.",
        "boolean",
        default=False,
    ),
    Option(
        "drop_image_content",
        "Leaves uri and tensor of the input out of the answer.",
        "boolean",
        default=True,
        json_only=True,
    ),
    Option(
        "output_path",
        "The client's own: its ending decides the file format, the server touches no path.",
        json_only=True,
    ),
    Option(
        "errors",
        "In parameters only: raise fails the request with the first bad Document, the default for "
        "one; tags returns bad Documents with a tag error, the default for several.",
        choices=("raise", "tags"),
        json_only=True,
    ),
)
"""Every option of docs/reference.md, and those that some models have."""

PICTURE_OPTIONS = {option.name: option for option in OPTIONS if not option.json_only}
"""Those that a query or a form may name."""


def given_options(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The options in a query or form; empty values count as absent.

    Executors check the values. Raises Refusal OPTION for a name that is unknown, which would go
    unnoticed otherwise, or given twice, or a value beyond all reason.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in PICTURE_OPTIONS:
            raise _unknown(name)
        if name in given:
            raise refusal("OPTION", f"{name}: given twice", option=name, allowed="one value")
        if len(value) > LONGEST_VALUE:
            allowed = f"at most {LONGEST_VALUE} characters"
            raise refusal(
                "OPTION", f"{name}: {len(value)} characters", option=name, allowed=allowed
            )
        if value.strip():
            given[name] = value
    return given


def _unknown(name: str) -> Refusal:
    near = difflib.get_close_matches(name[:40], PICTURE_OPTIONS, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    allowed = ", ".join(PICTURE_OPTIONS)
    message = f"option {shown(name, 40)} is unknown{hint or f': expected one of {allowed}'}"
    return refusal("OPTION", message, option=name[:40], allowed=allowed)
