"""Bicubic++: fast, the embedded default; x3, x2 and x4."""

from executors.base import UpscalerExecutor


class BicubicPP(UpscalerExecutor):
    """Bicubic++: fast, the embedded default; x3, x2 and x4."""

    system = "bicubic_pp"
