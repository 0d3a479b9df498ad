"""The operator's options: from YAML, then the environment, then safe defaults."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from executors.source import SourceGuards
from superres.codecs.decode import Limits
from superres.diffusion.options import OPTIONS as SAMPLING
from superres.errors import BadSetting, shown

PREFIX = "SUPERRES_"


@dataclass(frozen=True)
class Settings:
    """One field per option; docs/reference.md says what each does."""

    model: str | None = None
    models: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    tile: int = 0
    tile_overlap: int | None = None
    memory_limit_mb: int = 0
    host_memory_mb: int = 0
    optimize: str = "auto"
    weights: Path | None = None
    cache_dir: Path | None = None
    offline: bool = False
    image_format: str | None = None
    quality: int = 95
    png_compression: int = 1
    keep_metadata: bool = False
    denoise_strength: float | None = None
    face_model: str | None = None
    face_enhance: bool = False
    prompt: str | None = None
    negative_prompt: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    noise_level: int | None = None
    seed: int | None = None
    max_diffusion_pixels: int = 2**20
    keep_colours: bool = True
    threads: int = 0
    workers: int = 0
    max_input_mb: int = 64
    max_input_pixels: int = 50_000_000
    max_frames: int = 100
    max_output_pixels: int = 268_000_000
    max_documents: int = 32
    max_waiting: int = 64
    deadline_seconds: float = 600.0
    uri_http: bool = True
    uri_hosts: tuple[str, ...] = ()
    uri_ports: tuple[int, ...] = (80, 443)
    uri_private_networks: tuple[str, ...] = ()
    uri_folders: tuple[Path, ...] = ()
    uri_redirects: int = 3
    uri_seconds: float = 10.0

    @property
    def limits(self) -> Limits:
        """What a picture may be."""
        return Limits(self.max_input_mb * 2**20, self.max_input_pixels, self.max_frames)

    @property
    def guards(self) -> SourceGuards:
        """What a uri may name."""
        return SourceGuards(
            http=self.uri_http,
            hosts=self.uri_hosts,
            ports=self.uri_ports,
            private_networks=self.uri_private_networks,
            folders=self.uri_folders,
            max_bytes=self.max_input_mb * 2**20,
            seconds=self.uri_seconds,
            redirects=self.uri_redirects,
        )

    @property
    def defaults(self) -> dict[str, Any]:
        """Values for options that a request leaves open."""
        names = (
            "image_format",
            "quality",
            "png_compression",
            "keep_metadata",
            "denoise_strength",
            "face_enhance",
            "tile",
            "tile_overlap",
            *SAMPLING,
        )
        return {name: getattr(self, name) for name in names}


def read_settings(
    given: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings of an Executor. Raises BadSetting that names a wrong option or value."""
    kinds = {field.name: field.type for field in fields(Settings)}
    for name in given:
        if name not in kinds:
            raise BadSetting(
                f"unknown option {shown(name)}: expected one of {', '.join(kinds)}", option=name
            )
    values = {
        name: converted(name, environment[PREFIX + name.upper()], kind)
        for name, kind in kinds.items()
        if environment.get(PREFIX + name.upper())
    }
    values |= {
        name: converted(name, value, kinds[name])
        for name, value in given.items()
        if value is not None
    }
    return Settings(**values)


def whole(value: Any) -> int:
    """A whole number that is not negative; truth values do not count."""
    if isinstance(value, bool) or int(value) != float(value) or int(value) < 0:
        raise ValueError
    return int(value)


def positive(value: Any) -> float:
    """A number that is not negative; truth values do not count."""
    if isinstance(value, bool) or not 0 <= float(value) < float("inf"):
        raise ValueError
    return float(value)


def switch(value: Any) -> bool:
    """True or false, as such or as a word."""
    return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def path(value: Any) -> Path:
    """A path; `~` is the home folder."""
    return Path(text(value)).expanduser()


def several(one: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A list, or text with commas, of what `one` converts."""

    def convert(value: Any) -> tuple[Any, ...]:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return tuple(one(part) for part in parts)

    return convert


KINDS: Mapping[Any, tuple[Callable[[Any], Any], str]] = {
    int: (whole, "a whole number"),
    int | None: (whole, "a whole number"),
    float: (positive, "a number that is not negative"),
    float | None: (positive, "a number that is not negative"),
    bool: (switch, "true or false"),
    str: (text, "text"),
    str | None: (text, "text"),
    Path | None: (path, "a path"),
    tuple[str, ...]: (several(text), "a list of texts"),
    tuple[int, ...]: (several(whole), "a list of whole numbers"),
    tuple[Path, ...]: (several(path), "a list of paths"),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "precision": ("auto", "fp32", "fp16", "bf16"),
    "optimize": ("auto", "none", "max"),
}


def converted(name: str, value: Any, kind: Any) -> Any:
    """`value` of option `name` in its own type."""
    convert, expected = KINDS[kind]
    if name in CHOICES:
        expected = f"one of {', '.join(CHOICES[name])}"
    try:
        result = convert(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise wrong(name, value, expected) from error
    if name in CHOICES and result not in CHOICES[name]:
        raise wrong(name, value, expected)
    return result


def wrong(name: str, value: Any, expected: str) -> BadSetting:
    """The error for a value that an option cannot have."""
    return BadSetting(f"{name} {shown(value)}: expected {expected}", option=name, allowed=expected)
