"""Lanczos interpolation: the baseline."""

from executors.upscaler import UpscalerExecutor


class Lanczos(UpscalerExecutor):
    """Lanczos interpolation: the baseline."""

    system = "lanczos"
