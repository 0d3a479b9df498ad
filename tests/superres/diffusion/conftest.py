import shutil
from pathlib import Path

import pytest

from superres.diffusion.files import NAME
from superres.diffusion.model import DiffusionModel
from superres.weights.store import Store
from tests.superres.diffusion.models import loaded
from tests.superres.diffusion.tiny_diffusion import publish, tiny_pipeline
from tests.superres.weights.publisher import HASTE


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny pipeline, laid out as the publisher has them."""
    folder = tmp_path_factory.mktemp("diffusion")
    return publish(tiny_pipeline(folder / "made"), folder / "published")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store without files that stays offline."""
    return Store(tmp_path_factory.mktemp("cache"), True, (), patience=HASTE)


@pytest.fixture(scope="session")
def model(published: Path, empty: Store) -> DiffusionModel:
    return loaded(published, empty)


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """The published files, to be spoilt."""
    return Path(shutil.copytree(published, tmp_path / NAME))
