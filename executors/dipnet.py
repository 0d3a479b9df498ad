"""DIPNet x4: fast."""

from executors.base import UpscalerExecutor


class DIPNet(UpscalerExecutor):
    """DIPNet x4: fast."""

    system = "dipnet"
