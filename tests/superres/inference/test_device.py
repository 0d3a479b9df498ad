from dataclasses import replace
from typing import Any

import pytest
import torch

from superres.catalogue import CATALOGUE
from superres.errors import BadSetting
from superres.inference.device import CPU_MEMORY, Device, find_device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HALF = CATALOGUE["lanczos.x2"]
EXACT = replace(HALF, half=False)


@pytest.mark.parametrize(
    ("device", "precision", "spec", "expected"),
    [
        (CPU, "auto", HALF, torch.float32),
        (CUDA, "auto", HALF, torch.float16),
        (CUDA, "auto", EXACT, torch.float32),
        (CUDA, "fp32", HALF, torch.float32),
        (CPU, "fp16", EXACT, torch.float16),
        (CPU, "bf16", HALF, torch.bfloat16),
    ],
    ids=str,
)
def test_the_number_format_suits_device_and_model(
    device: torch.device, precision: Any, spec: Any, expected: torch.dtype
) -> None:
    assert Device(device, precision).dtype(spec) == expected


@pytest.mark.parametrize(
    ("optimize", "layout"),
    [
        ("none", torch.contiguous_format),
        ("auto", torch.channels_last),
        ("max", torch.channels_last),
    ],
)
def test_only_plain_computing_keeps_planes(optimize: Any, layout: torch.memory_format) -> None:
    assert Device(CPU, optimize=optimize).layout == layout


def test_the_memory_limit_is_obeyed_and_a_cpu_has_a_default() -> None:
    assert Device(CPU, memory=123).free() == 123
    assert Device(CPU, memory=123).free(7) == 123
    assert Device(CPU).free() == CPU_MEMORY
    assert Device(CPU).free(7) == 7


def test_a_cpu_has_no_peak_of_device_memory() -> None:
    assert Device(CPU).peak()() is None


def test_each_device_has_its_own_scheduler_and_a_variant_shares_it() -> None:
    device = Device(CPU)
    assert device.scheduler is not Device(CPU).scheduler
    assert replace(device, precision="fp16").scheduler is device.scheduler
    assert replace(device, precision="fp16").graphs is device.graphs
    assert device == Device(CPU)


def test_auto_takes_the_best_device_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "cpu"
    assert find_device("auto").type in (best, "mps")
    assert find_device("cpu") == CPU


@pytest.mark.parametrize("name", ["quantum", "cuda:99", ""])
def test_an_unusable_device_is_named(name: str) -> None:
    with pytest.raises(BadSetting, match=f'"{name}"') as caught:
        find_device(name)
    assert caught.value.option == "device"
