"""The systems that are served by rows of the catalogue alone."""

from executors.upscaler import UpscalerExecutor


class BicubicPP(UpscalerExecutor):
    """Bicubic++: the fastest, for clean images; x3, x2 and x4."""

    system = "bicubic_pp"


class Embedded(UpscalerExecutor):
    """The networks that are shipped with the package: compact for photos, Bicubic++ for speed."""

    system = "compact"
    systems = ("compact", "bicubic_pp")


class DIPNet(UpscalerExecutor):
    """DIPNet x4: fast."""

    system = "dipnet"


class LapSRN(UpscalerExecutor):
    """LapSRN and MS-LapSRN: progressive upscaling of luma."""

    system = "lapsrn"


class Lanczos(UpscalerExecutor):
    """Lanczos interpolation: the baseline."""

    system = "lanczos"


class RealESRGAN(UpscalerExecutor):
    """The Real-ESRGAN family: photos and drawings with real-world damage."""

    system = "realesrgan"


class Swin2SR(UpscalerExecutor):
    """Swin2SR: window transformers, also for photos with JPEG traces."""

    system = "swin2sr"


class SwinIR(UpscalerExecutor):
    """SwinIR: window transformers for clean and for degraded photos."""

    system = "swinir"
