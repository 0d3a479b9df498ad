"""The model that the tests of videos share."""

import pytest

import superres
from superres import Upscaler


@pytest.fixture(scope="session")
def upscaler() -> Upscaler:
    """A network whose weights are embedded."""
    return superres.load("bicubic_pp.x3", device="cpu")
