"""The file that Flows name in `py_modules`: finds the package from any working directory.

Jina imports such a file as a top-level module under its stem, so each system's own file cannot be
named there: `realesrgan.py` would hide the package of that name.
"""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from executors.bicubic_pp import BicubicPP  # noqa: E402
from executors.dipnet import DIPNet  # noqa: E402
from executors.lanczos import Lanczos  # noqa: E402
from executors.lapsrn import LapSRN  # noqa: E402
from executors.realesrgan import RealESRGAN  # noqa: E402
from executors.stable_diffusion import StableDiffusion  # noqa: E402
from executors.swin2sr import Swin2SR  # noqa: E402
from executors.swinir import SwinIR  # noqa: E402

__all__ = [
    "BicubicPP",
    "DIPNet",
    "Lanczos",
    "LapSRN",
    "RealESRGAN",
    "StableDiffusion",
    "Swin2SR",
    "SwinIR",
]
