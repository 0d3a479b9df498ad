"""The Real-ESRGAN family: photos and drawings with real-world damage."""

from executors.base import UpscalerExecutor


class RealESRGAN(UpscalerExecutor):
    """The Real-ESRGAN family: photos and drawings with real-world damage."""

    system = "realesrgan"
