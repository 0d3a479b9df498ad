"""Swin2SR: window transformers, also for photos with JPEG traces."""

from executors.base import UpscalerExecutor


class Swin2SR(UpscalerExecutor):
    """Swin2SR: window transformers, also for photos with JPEG traces."""

    system = "swin2sr"
