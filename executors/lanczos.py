"""Lanczos interpolation: the baseline."""

from executors.base import UpscalerExecutor


class Lanczos(UpscalerExecutor):
    """Lanczos interpolation: the baseline."""

    system = "lanczos"
