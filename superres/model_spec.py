"""What a model is, as data: tests/superres/test_catalogue.py proves each property."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

StateDict = dict[str, Tensor]
FACE_OPTIONS = ("face_enhance", "face_strength")
"""The model-specific options of models for photos, which may show faces."""


class PinnedFile(NamedTuple):
    """A file that is known by its size in bytes and its hash."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Package:
    """One archive in a registry of packages: a wheel of PyPI's or a tarball of npm's."""

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    archive: PinnedFile
    licence: PinnedFile  # the package's own text, a member of the archive

    @property
    def licence_name(self) -> str:
        """The name of the licence's text beside weights out of the package."""
        return f"{self.name}-{self.version}.LICENSE.txt"

    def __str__(self) -> str:
        return f"{self.registry} {self.name} {self.version}"


class PackagedModel(NamedTuple):
    """The two files of a model of ncnn in a package."""

    package: Package
    structure: PinnedFile  # .param
    numbers: PinnedFile  # .bin


@dataclass(frozen=True)
class HalfCopy:
    """Weights in fp16, as packages have them; converted once to a safetensors file."""

    file: str  # of the conversion, in the cache folder
    size: int
    sha256: str
    layers: tuple[str, ...]  # the network's, in the order of the packaged files
    packages: tuple[PackagedModel, ...]  # tried in this order


@dataclass(frozen=True)
class Weights:
    """One weights file: where it comes from, how it is known again, who may use it."""

    file: str  # its name in the cache folder or in superres/assets
    licence: str  # SPDX identifier where there is one
    origin: str  # page of the publisher
    url: str | None = None  # None: shipped in superres/assets
    sha256: str | None = None  # None: the publisher's hash is not known to us
    size: int | None = None  # bytes
    keys: tuple[str, ...] = ("params_ema", "params")  # where the state dict may lie; else bare
    half_copy: HalfCopy | None = None  # the same weights where the publisher is out of reach

    @property
    def variants(self) -> "tuple[Weights | HalfCopy, ...]":
        """The files that serve: the publisher's first, then the copy."""
        return (self,) if self.half_copy is None else (self, self.half_copy)

    def is_half_copy(self, path: Path) -> bool:
        """Return whether `path` is the fp16 copy, not the publisher's file."""
        return self.half_copy is not None and path.name == self.half_copy.file

    @property
    def embedded(self) -> bool:
        """Whether the file is shipped in superres/assets."""
        return self.url is None


class Speed(Enum):
    """Rough cost per input pixel, for people who choose."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


class SizeRequirements(NamedTuple):
    """Sides of an input that a network accepts: at least `minimum`, and a multiple."""

    minimum: int = 1
    multiple_of: int = 1


_ANY_SIZE = SizeRequirements()


@dataclass(frozen=True, kw_only=True)
class RowStreaming:
    """How a network is streamed row by row (networks/streaming) and what it takes, in fp32."""

    stages: Callable[[Any], Callable[[Any], Any]]  # of a network: its stages for an image's Size
    bytes_per_column: int  # remembered between steps, per input pixel of width
    step_bytes: int  # in use during a step, per input pixel of its rows
    step_pixels: int = 12_000  # of a step on a CPU: what it works on stays in the caches
    min_pixels: int = 24_000  # on a CPU smaller images are faster whole
    passes: int = 1  # over all rows; only the last gives any back
    bytes_per_image_pixel: int = 0  # held between passes


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model as one row: what people choose by, and what it takes."""

    name: str  # <architecture>.<weights>
    system: str  # the Executor that serves it
    scale: int
    weights: tuple[Weights, ...]  # none: nothing was learned; two: interpolated or face models
    description: str
    speed: Speed
    overlap: int  # pixels a tile must see beyond its core, on each side
    seconds_per_megapixel: float  # of input, fp32, both cores of an Intel Xeon (benchmarks.cost)
    options: tuple[str, ...] = ()  # model-specific options, e.g. denoise_strength

    @property
    def licence(self) -> str:
        """The licences of its weights; empty where nothing was learned."""
        return ", ".join(dict.fromkeys(weights.licence for weights in self.weights))

    @property
    def download_size(self) -> str:
        """The megabytes to download, or that there are none."""
        if all(weights.embedded for weights in self.weights):
            return "embedded" if self.weights else "none"
        sizes = [weights.size for weights in self.weights if weights.size]
        return f"{sum(sizes) / 1e6:.1f} MB" if len(sizes) == len(self.weights) else "not published"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(ModelSpec):
    """A model that is one network: `(n, 3, h, w)` RGB in 0..1 to `(n, 3, scale·h, scale·w)`.

    With `overlap` its tiles equal the whole to one 8-bit step; `border_mode` says who pads beyond
    the image's border: the network itself, or we by repeating it.
    """

    build: Callable[[], nn.Module]  # imports what it needs only when called
    input_size: SizeRequirements = _ANY_SIZE  # tiles also start at multiples of it
    align: int = 1  # tiles start at multiples of it too: windows of a tile are those of the whole
    border_mode: Literal["own", "replicate"] = "own"
    global_context: bool = False  # sees the whole image: networks/global_grid.py makes tiles exact
    whole_only: bool = False  # sees the whole image, and no tiles are exact: never cut
    half: bool = True  # fp16 keeps within tolerance
    bytes_per_pixel: int = 0  # measured peak memory per input pixel of a tile, fp32
    cpu_bytes: int = 512 * 2**20  # activations of a tile on CPU; less where the cache decides
    stream: RowStreaming | None = None  # where every layer reads a few rows only
    convert: Callable[[StateDict], StateDict] | None = None  # publisher's keys to the network's
