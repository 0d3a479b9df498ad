"""The operator's options: from YAML, then the environment, then safe defaults."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.api_keys import Keys, read_keys
from contract.option import Kind, Option
from contract.options import OPERATOR_OPTIONS, REQUEST_OPTIONS
from contract.problem import quote
from contract.restoration import describe_chains, read_chain
from executors.model_entries import read_entry
from executors.source import SourcePolicy
from superres.codecs.decode import Limits
from superres.errors import BadSetting

_PREFIX = "SUPERRES_"


@dataclass(frozen=True)
class Settings:
    """One field per option of contract.options.OPERATOR_OPTIONS, which says what each does."""

    model: str | None
    models: tuple[str, ...]
    device: str
    precision: str
    tile: int
    tile_overlap: int | None
    memory_limit_mb: int
    host_memory_mb: int
    optimize: str
    measure_cost: bool
    weights: Path | None
    weights_sources: tuple[str, ...]
    weights_mirrors: tuple[str, ...]
    cache_dir: Path | None
    offline: bool
    image_format: str | None
    quality: int
    png_compression: int
    keep_metadata: bool
    restore: tuple[str, ...] | None
    strength: float
    denoise_strength: float | None
    face_model: str | None
    face_enhance: bool | None
    face_strength: float | None
    prompt: str | None
    negative_prompt: str | None
    steps: int | None
    guidance_scale: float | None
    noise_level: int | None
    seed: int | None
    generator: str | None
    max_generated_pixels: int
    max_diffusion_pixels: int
    keep_colours: bool
    threads: int
    workers: int
    api_keys: tuple[str, ...]
    max_request_mb: int
    max_input_mb: int
    max_input_pixels: int
    max_frames: int
    max_output_pixels: int
    max_documents: int
    max_waiting: int
    deadline_seconds: float
    uri_http: bool
    uri_hosts: tuple[str, ...]
    uri_ports: tuple[int, ...]
    uri_private_networks: tuple[str, ...]
    uri_folders: tuple[Path, ...]
    uri_redirects: int
    uri_seconds: float

    @property
    def limits(self) -> Limits:
        """What an image may be."""
        return Limits(self.max_input_mb * 2**20, self.max_input_pixels, self.max_frames)

    @property
    def keys(self) -> Keys:
        """What opens the Executor's own port. Raises BadSetting."""
        try:
            return read_keys(self.api_keys)
        except ValueError as error:
            raise BadSetting(str(error), option="api_keys") from None

    @property
    def source_policy(self) -> SourcePolicy:
        """What a uri may name."""
        return SourcePolicy(
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
        names = (name for name, option in REQUEST_OPTIONS.items() if option.settable)
        return {name: getattr(self, name) for name in names}


def read_settings(
    given: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> Settings:
    """Return the settings of an Executor. Raises BadSetting that names a wrong option or value."""
    for name in given:
        if name not in OPERATOR_OPTIONS:
            allowed = ", ".join(OPERATOR_OPTIONS)
            raise BadSetting(
                f"unknown option {quote(name)}: expected one of {allowed}", option=name
            )
    values = {name: option.default for name, option in OPERATOR_OPTIONS.items()}
    variables = {name: environment.get(_PREFIX + name.upper()) for name in OPERATOR_OPTIONS}
    values |= {name: convert(OPERATOR_OPTIONS[name], v) for name, v in variables.items() if v}
    values |= {
        name: convert(OPERATOR_OPTIONS[name], value)
        for name, value in given.items()
        if value is not None
    }
    return Settings(**values)


def _read_whole(value: Any) -> int:
    """Return a whole number that is not negative; truth values do not count."""
    if isinstance(value, bool) or int(value) != float(value) or int(value) < 0:
        raise ValueError
    return int(value)


def _read_positive(value: Any) -> float:
    """Return a number that is not negative; truth values do not count."""
    if isinstance(value, bool) or not 0 <= float(value) < float("inf"):
        raise ValueError
    return float(value)


def _read_switch(value: Any) -> bool:
    """Return true or false, as such or as a word."""
    return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def read_text(value: Any) -> str:
    """Return text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _read_path(value: Any) -> Path:
    """Return a path; `~` is the home folder."""
    return Path(read_text(value)).expanduser()


def _read_several(one: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a list, or text with commas, of what `one` converts."""

    def convert_all(value: Any) -> tuple[Any, ...]:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        parts = [parts] if isinstance(parts, dict) else parts
        return tuple(one(part) for part in parts)

    return convert_all


_CONVERTERS: Mapping[Kind, tuple[Callable[[Any], Any], str]] = {
    "integer": (_read_whole, "a whole number"),
    "number": (_read_positive, "a number that is not negative"),
    "boolean": (_read_switch, "true or false"),
    "text": (read_text, "text"),
    "path": (_read_path, "a path"),
    "texts": (_read_several(read_text), "a list of texts"),
    "models": (
        _read_several(read_entry),
        "a list of names, files, or mappings of name and weights",
    ),
    "integers": (_read_several(_read_whole), "a list of whole numbers"),
    "paths": (_read_several(_read_path), "a list of paths"),
    "chain": (read_chain, describe_chains()),
}


def convert(option: Option, value: Any) -> Any:
    """Return `value` of an option in its own type. Raises BadSetting that names value and
    remedy.
    """
    converter, expected = _CONVERTERS[option.kind]
    choices = option.choices if option.scope == "operator" else ()
    if choices:
        expected = f"one of {', '.join(choices)}"
    try:
        result = converter(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise make_error(option.name, value, expected) from error
    if choices and result not in choices:
        raise make_error(option.name, value, expected)
    return result


def make_error(name: str, value: Any, expected: str) -> BadSetting:
    """Return the error for a value that an option cannot have."""
    return BadSetting(f"{name} {quote(value)}: expected {expected}", option=name, allowed=expected)
