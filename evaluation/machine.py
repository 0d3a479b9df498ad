"""What a measurement was made on."""

import os
import platform
from importlib.metadata import version

import torch

from superres.estimation.processor import read_processor_name


def machine() -> dict[str, str | int]:
    """Processor, cores, device and the versions that matter."""
    return {
        "processor": read_processor_name(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": version("pillow"),
    }
