"""LapSRN and MS-LapSRN: progressive upscaling of luma."""

from executors.base import UpscalerExecutor


class LapSRN(UpscalerExecutor):
    """LapSRN and MS-LapSRN: progressive upscaling of luma."""

    system = "lapsrn"
