"""The file that Flows name in `py_modules`: finds the package from any working directory.

Jina imports such a file as a top-level module under its stem, so each system's own file cannot be
named there: `realesrgan.py` would hide the package of that name.
"""

import os
import sys
from pathlib import Path

# OpenMP's threads wait for each other by spinning. Where the cores have other work too, as those of
# a service do, one layer can then take as long as the system's turns: 60 times was measured. It is
# read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from executors.degrader import Degrader  # noqa: E402
from executors.generation.generator import ImageToImage, TextToImage  # noqa: E402
from executors.join import Join  # noqa: E402
from executors.stable_diffusion import StableDiffusion  # noqa: E402
from executors.systems import (  # noqa: E402
    BicubicPP,
    DIPNet,
    Embedded,
    Lanczos,
    LapSRN,
    RealESRGAN,
    Swin2SR,
    SwinIR,
)

__all__ = [
    "BicubicPP",
    "DIPNet",
    "Degrader",
    "Embedded",
    "ImageToImage",
    "Join",
    "Lanczos",
    "LapSRN",
    "RealESRGAN",
    "StableDiffusion",
    "Swin2SR",
    "SwinIR",
    "TextToImage",
]
