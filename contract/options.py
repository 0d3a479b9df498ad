"""Options of a request and of an operator: names, kinds, ranges, defaults and meanings.

    REQUEST_OPTIONS     what a request may ask of `/upscale`
    OPERATOR_OPTIONS    what the operator of an Executor may set, in YAML or in the environment

The reader of Documents, the operator's settings, the command line, OpenAPI, the pages and the
tables of docs/reference.md (`python -m contract.reference`) follow from these two tables.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from contract.option import Kind, Option

__all__ = ["IMAGE_FORMATS", "OPERATOR_OPTIONS", "REQUEST_OPTIONS", "SAMPLING_OPTIONS"]

IMAGE_FORMATS = ("png", "jpeg", "jpg", "webp", "tiff", "bmp", "gif", "avif")


def _make_table(*rows: Option) -> Mapping[str, Option]:
    return MappingProxyType({row.name: row for row in rows})


_DIFFUSION = "stable_diffusion.x4"

REQUEST_OPTIONS = _make_table(
    Option(
        name="image_format",
        meaning="The file format of the result; the ending of output_path goes first.",
        choices=IMAGE_FORMATS,
        default_text="the input's own; png where it has none",
        settable=True,
    ),
    Option(
        name="scale",
        meaning="FFmpeg's width:height. 600:-1 keeps the aspect ratio, 0 is the input's side, "
        "expressions such as iw*2:ih*2 work. Never larger than the input times the model's scale.",
        default_text="the input times the model's scale",
        example="600:-1",
        expected='"width:height" as text',
    ),
    Option(
        name="quality",
        meaning="Of lossy formats.",
        kind="integer",
        minimum=0,
        maximum=100,
        default=95,
        settable=True,
    ),
    Option(
        name="png_compression",
        meaning="Of PNG; 0 is none, 9 the smallest. 2 makes photos 9 % smaller for a quarter more "
        "time, 4 17 % for six times as much.",
        kind="integer",
        minimum=0,
        maximum=9,
        default=1,
        settable=True,
    ),
    Option(
        name="tile",
        meaning="Tile edge in input pixels; 0 chooses the cheapest exact way from free memory.",
        kind="integer",
        minimum=0,
        maximum=16_384,
        default=0,
        settable=True,
    ),
    Option(
        name="tile_overlap",
        meaning="Overlap of tiles in input pixels, on each side.",
        kind="integer",
        minimum=0,
        maximum=1_024,
        default_text="the model's own exact amount",
        aliases=("tile_pad",),
        settable=True,
    ),
    Option(
        name="model",
        meaning="A model that GET /models lists.",
        default_text="the server's first",
        expected="text",
    ),
    Option(
        name="denoise_strength",
        meaning="0 keeps noise, 1 removes it.",
        kind="number",
        minimum=0,
        maximum=1,
        default_text="0.5",
        models="realesrgan.general-x4",
        settable=True,
    ),
    Option(
        name="face_enhance",
        meaning="Restores faces, where the operator sets face_model.",
        kind="boolean",
        default_text="false",
        models="Real-ESRGAN for photos",
        settable=True,
    ),
    Option(
        name="prompt",
        meaning="What the image shows, up to 75 tokens.",
        max_length=1000,
        default_text="none",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="negative_prompt",
        meaning="What the image does not show, up to 75 tokens.",
        max_length=1000,
        default_text="none",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="steps",
        meaning="Denoising steps.",
        kind="integer",
        minimum=1,
        maximum=150,
        default_text="75",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="guidance_scale",
        meaning="How much the prompt counts; at most 1 switches guidance off.",
        kind="number",
        minimum=0,
        maximum=30,
        default_text="9",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="noise_level",
        meaning="Noise added to the input, which frees the model from it.",
        kind="integer",
        minimum=0,
        maximum=350,
        default_text="20",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="seed",
        meaning="The same seed gives the same image; the answer tells it.",
        kind="integer",
        minimum=0,
        maximum=2**63 - 1,
        default_text="random",
        models=_DIFFUSION,
        settable=True,
    ),
    Option(
        name="keep_metadata",
        meaning="EXIF and XMP travel to the result, never orientation or thumbnail.",
        kind="boolean",
        default=False,
        settable=True,
    ),
    Option(
        name="drop_image_content",
        meaning="Leaves uri and tensor of the input out of the answer.",
        kind="boolean",
        default=True,
        scope="document",
    ),
    Option(
        name="output_path",
        meaning="The client's own: its ending decides the file format, the server touches no path.",
        default_text="none",
        scope="document",
    ),
    Option(
        name="errors",
        meaning="raise fails the request with the first bad Document; tags returns bad Documents "
        "with a tag error.",
        choices=("raise", "tags"),
        default_text="raise for one Document, tags for several",
        scope="request",
    ),
)
"""Options of `/upscale`, by name."""

SAMPLING_OPTIONS = tuple(name for name, o in REQUEST_OPTIONS.items() if o.models == _DIFFUSION)
"""Options of Stable Diffusion."""


def _make_operator_table(*rows: Option) -> Mapping[str, Option]:
    """Return `rows`, and the options of requests whose default an operator may set."""
    return _make_table(*rows, *(o for o in REQUEST_OPTIONS.values() if o.settable))


def _operator(
    name: str, kind: Kind, default: Any, meaning: str, default_text: str = "", **rest: Any
) -> Option:
    return Option(
        name=name,
        kind=kind,
        default=default,
        meaning=meaning,
        default_text=default_text,
        scope="operator",
        **rest,
    )


OPERATOR_OPTIONS = _make_operator_table(
    _operator("model", "text", None, "the default model", "the system's first"),
    _operator("models", "texts", (), "the models that are served, the default first", "`model`"),
    _operator("device", "text", "auto", "auto, cpu, cuda, cuda:N or mps"),
    _operator(
        "precision",
        "text",
        "auto",
        "number format of the network; auto is fp16 on CUDA, else fp32",
        choices=("auto", "fp32", "fp16", "bf16"),
    ),
    _operator(
        "optimize",
        "text",
        "auto",
        "none: as PyTorch computes by itself, no warm-up at the start; max: also compiles, which "
        "takes minutes at a first start",
        choices=("auto", "none", "max"),
    ),
    _operator(
        "memory_limit_mb",
        "integer",
        0,
        "MiB for the activations of one tile",
        "80 % of free device memory; 512 on CPU",
    ),
    _operator(
        "host_memory_mb",
        "integer",
        0,
        "MiB for the Executor's process: images wait until theirs is free, and one that never fits "
        "is refused (`MEMORY`); several Executors on one machine need a figure each",
        "75 % of the container's limit or of what is free at the start",
    ),
    _operator("threads", "integer", 0, "CPU threads of the network", "torch's choice"),
    _operator(
        "workers",
        "integer",
        0,
        "images decoded and encoded at once, small and large ones each",
        "cores + 2",
    ),
    _operator(
        "weights",
        "path",
        None,
        "a file or folder used instead of the publisher's file: any checkpoint or safetensors of "
        "the model's architecture, ESRGAN's first layout included; for Stable Diffusion also a "
        "folder of diffusers, a single file or the hub id",
        "the publisher's file",
    ),
    _operator("cache_dir", "path", None, "where downloads lie", "`~/.cache/superres`"),
    _operator("offline", "boolean", False, "never download"),
    _operator(
        "face_model",
        "text",
        None,
        "`gfpgan.v1.4` or `gfpgan.v1.3`; 540 MB, see NOTICE.md about its licence",
        "none",
    ),
    _operator(
        "max_diffusion_pixels", "integer", 2**20, "pixels of the largest image for Stable Diffusion"
    ),
    _operator(
        "keep_colours", "boolean", True, "Stable Diffusion takes the colour of areas from the input"
    ),
    _operator("max_input_mb", "integer", 64, "MiB of the largest image file"),
    _operator("max_input_pixels", "integer", 50_000_000, "pixels of the largest input, all frames"),
    _operator("max_frames", "integer", 100, "frames of an animation"),
    _operator(
        "max_output_pixels", "integer", 268_000_000, "pixels of the largest result, all frames"
    ),
    _operator("max_documents", "integer", 32, "Documents in one request"),
    _operator(
        "max_waiting",
        "integer",
        64,
        "images that are processed or wait; beyond: `OVERLOADED`, with the seconds after which a "
        "place may be free",
    ),
    _operator(
        "deadline_seconds",
        "number",
        600.0,
        "time for one request, checked between tiles; 0 is none",
    ),
    _operator("uri_http", "boolean", True, "whether a `uri` may be http or https"),
    _operator("uri_hosts", "texts", (), "hosts that a `uri` may name", "every public one"),
    _operator("uri_ports", "integers", (80, 443), "ports that a `uri` may name"),
    _operator(
        "uri_private_networks", "texts", (), "private networks that are opened, as CIDR", "none"
    ),
    _operator("uri_folders", "paths", (), "local folders that a `uri` may name files in", "none"),
    _operator("uri_redirects", "integer", 3, "redirects of one `uri`"),
    _operator("uri_seconds", "number", 10.0, "seconds for the whole fetch"),
)
"""Options of an Executor, by name."""
