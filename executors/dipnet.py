"""DIPNet x4: fast."""

from executors.upscaler import UpscalerExecutor


class DIPNet(UpscalerExecutor):
    """DIPNet x4: fast."""

    system = "dipnet"
