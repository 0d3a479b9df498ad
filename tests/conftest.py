"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")

# Flows inherit it: what is measured in the background would slow what is tested.
os.environ.setdefault("SUPERRES_MEASURE_COST", "false")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of evaluation images, photos and official weights, where there is one."""
    if not SHARED.is_dir():
        pytest.skip(f"no evaluation data at {SHARED.name}: it is not part of the repository")
    return SHARED
