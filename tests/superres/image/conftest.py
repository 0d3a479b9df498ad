from pathlib import Path

import pytest

from tests.superres.image.size_cases import Ffmpeg


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Ffmpeg:
    return Ffmpeg(tmp_path)
