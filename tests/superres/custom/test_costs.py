"""The costs that are derived from a file's sizes are about those measured for the catalogue."""

from dataclasses import replace
from functools import cache

import pytest

from superres.catalogue import CATALOGUE
from superres.custom.detect import find_network
from superres.custom.detected import Detected
from superres.model_spec import NetworkSpec

NAMES = [name for name in CATALOGUE if name.startswith(("realesrgan.", "swinir.", "swin2sr."))]
QUICK = {
    "realesrgan.x4plus",
    "realesrgan.x2plus",
    "realesrgan.anime-x4",
    "realesrgan.animevideo-x4",
    "realesrgan.general-x4",
    "swinir.lightweight-x2",
    "swinir.real-l-x4",
    "swin2sr.lightweight-x2",
}
CASES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
STREAMED = [name for name in NAMES if name in QUICK and CATALOGUE[name].stream]
# Row streaming of a network that works at half the resolution is rated too high, not too low.
HALVED = "realesrgan.x2plus"


@cache
def derive(name: str) -> NetworkSpec:
    """Return the row that the tensors of a catalogue's network are given."""
    finding = find_network(CATALOGUE[name].build().state_dict())
    assert isinstance(finding, Detected)
    return finding.make_spec("own")


@pytest.mark.parametrize("name", CASES)
def test_a_networks_costs_are_about_the_measured_ones(name: str) -> None:
    row, own = CATALOGUE[name], derive(name)
    assert 0.9 < own.seconds_per_megapixel / row.seconds_per_megapixel < 1.1
    # Too little memory is the worse mistake.
    assert 0.95 < own.bytes_per_pixel / row.bytes_per_pixel < 1.25
    assert (own.overlap, own.align, own.input_size) == (row.overlap, row.align, row.input_size)
    assert (own.speed, own.half, own.cpu_bytes) == (row.speed, row.half, row.cpu_bytes)
    assert own.border_mode == row.border_mode


@pytest.mark.parametrize("name", STREAMED)
def test_what_streaming_takes_is_about_what_was_measured(name: str) -> None:
    row, own = CATALOGUE[name].stream, derive(name).stream
    assert row is not None
    assert own is not None
    most = 1.4 if name == HALVED else 1.1
    assert 0.95 < own.bytes_per_column / row.bytes_per_column < most
    assert 0.95 < own.step_bytes / row.step_bytes < 1.1
    figures = {"bytes_per_column": 0, "step_bytes": 0}
    assert replace(own, **figures) == replace(row, **figures)  # type: ignore[arg-type]
