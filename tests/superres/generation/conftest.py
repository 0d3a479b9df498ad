from pathlib import Path

import pytest
import torch

from superres.generation.generator import Generator
from superres.inference.device import Device
from superres.weights.store import Store
from tests.superres.diffusion.tiny_diffusion import publish, tiny_pipeline
from tests.superres.generation.tiny_generator import write_pipeline


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline on the disk."""
    return write_pipeline(tmp_path_factory.mktemp("generator") / "tiny")


@pytest.fixture(scope="session")
def generator(pipeline_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    store = Store(tmp_path_factory.mktemp("cache"), True, ())
    return Generator(str(pipeline_folder), Device(torch.device("cpu")), store)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of another kind: the tiny upscaler."""
    folder = tmp_path_factory.mktemp("upscaler")
    return publish(tiny_pipeline(folder / "made"), folder / "published")
