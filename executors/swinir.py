"""SwinIR: window transformers for clean and for degraded photos."""

from executors.base import UpscalerExecutor


class SwinIR(UpscalerExecutor):
    """SwinIR: window transformers for clean and for degraded photos."""

    system = "swinir"
