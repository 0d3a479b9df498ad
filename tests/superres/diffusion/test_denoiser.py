from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.options import REQUEST_OPTIONS, SAMPLING_OPTIONS
from superres.diffusion.denoiser import MAX_PIXELS, UNET_BYTES, VAE_BYTES
from superres.diffusion.model import DiffusionModel
from superres.diffusion.options import read_sampling
from superres.errors import BadOption, OutOfMemory, TooLarge
from superres.geometry import Size
from superres.request_options import read_option
from superres.weights.store import Store
from tests.superres.diffusion.models import QUICK, Pixels, loaded, made, picture
from tests.superres.diffusion.published_diffusion import most_bytes, published_networks

NUMBERS = {
    name: REQUEST_OPTIONS[name] for name in ("steps", "guidance_scale", "noise_level", "seed")
}


def refused(model: DiffusionModel, pixels: Pixels, tile: int = 0) -> TooLarge:
    seen: list[int] = []
    with pytest.raises(TooLarge) as caught:
        model.upscaler(**QUICK).upscale(pixels, tile, progress=lambda done, _: seen.append(done))
    assert not seen, "refused only after work was done"
    return caught.value


def test_what_cannot_fit_is_refused_before_the_first_step_with_both_numbers(
    published: Path, empty: Store
) -> None:
    little = loaded(published, empty, memory=50 << 20)
    error = refused(little, picture(64, 64))
    assert error.code == "MEMORY"
    assert "64x64 pixels need about 95 MB" in str(error)
    assert "50 MB are allowed (memory_limit_mb)" in str(error)
    assert refused(loaded(published, empty), picture(400, 300), tile=400).code == "MEMORY"


def test_a_picture_of_too_many_pixels_is_refused(published: Path, empty: Store) -> None:
    small = loaded(published, empty, max_pixels=100)
    assert made(small, picture(10, 10)).shape == (40, 40, 3)
    error = refused(small, picture(101, 1))
    assert error.code == "PIXELS"
    assert "101x1 is 101 pixels: at most 100 are allowed" in str(error)


def test_the_largest_picture_fits_where_the_operator_allows_two_gigabytes(
    model: DiffusionModel,
) -> None:
    assert model.plan(Size(1024, 1024), 0, None).is_one_call
    assert MAX_PIXELS == 1024 * 1024


def test_tiles_become_smaller_only_as_a_last_resort(published: Path, empty: Store) -> None:
    size = Size(256, 256)
    edges = {
        memory: loaded(published, empty, memory=memory << 20).plan(size, 0, None)
        for memory in (2048, 500, 200)
    }
    assert edges[2048].is_one_call and len(edges[2048].tiles) == len(edges[2048].decoder_tiles)
    assert not edges[500].is_one_call and len(edges[500].tiles) == len(edges[2048].tiles)
    assert len(edges[200].tiles) > len(edges[500].tiles)


def test_running_out_of_memory_leads_to_a_smaller_plan(published: Path, empty: Store) -> None:
    short = loaded(published, empty)
    expected = made(loaded(published, empty), picture(40, 40))

    def exhausted(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        if len(args[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    short.parts.unet.register_forward_pre_hook(exhausted)
    result = made(short, picture(40, 40))
    assert np.abs(result.astype(int) - expected).mean() < 5


def test_running_out_of_memory_for_good_is_said(published: Path, empty: Store) -> None:
    short = loaded(published, empty)

    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    short.parts.unet.register_forward_pre_hook(exhausted)
    with pytest.raises(OutOfMemory, match="40x40 pixels, about 95 MB, do not fit"):
        made(short, picture(40, 40))


@pytest.mark.slow
def test_the_estimates_cover_all_tensors_that_live_at_once_in_the_published_networks() -> None:
    with published_networks() as (unet, vae):
        x, texts = torch.empty(2, 7, 128, 128), torch.empty(2, 77, 1024)
        labels = torch.zeros(2, dtype=torch.long)
        step = most_bytes(
            unet, x, torch.tensor(10), encoder_hidden_states=texts, class_labels=labels
        )
        decoded = most_bytes(vae.decoder, torch.empty(1, 4, 128, 128))
    assert 1.1 * step < UNET_BYTES * 2 * 128**2 < 1.4 * step
    assert 1.1 * decoded < VAE_BYTES * 128**2 < 1.4 * decoded


def test_the_defaults_are_the_publishers() -> None:
    asked = read_sampling({})
    assert (asked.steps, asked.guidance_scale, asked.noise_level) == (75, 9.0, 20)
    assert (asked.prompt, asked.negative_prompt) == ("", "")
    assert set(SAMPLING_OPTIONS) == {
        "prompt", "negative_prompt", "steps", "guidance_scale", "noise_level", "seed"
    }  # fmt: skip


def test_the_estimate_takes_all_memory_for_activations(model: DiffusionModel) -> None:
    cost = model.estimate(Size(64, 64))
    assert cost.host_bytes > 64 * 64 * 500 and cost.device_bytes == model.target.memory
    assert cost.seconds > 10


def test_a_seed_that_was_not_given_is_random_and_reported(model: DiffusionModel) -> None:
    first, second = model.upscaler(steps=1), model.upscaler(steps=1)
    assert first.report["seed"] != second.report["seed"]
    again = model.upscaler(steps=1, seed=first.report["seed"])
    assert np.array_equal(first.upscale(picture(6, 6)).pixels, again.upscale(picture(6, 6)).pixels)


def test_a_seed_that_a_float_would_round_is_reported_as_text() -> None:
    most = 2**63 - 1
    assert read_sampling({"seed": str(most)}).report["seed"] == str(most)
    assert read_sampling({"seed": str(most)}).seed == most
    assert read_sampling({"seed": float(2**53)}).report["seed"] == 2**53


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", 1, 1),
        ("steps", 150.0, 150),
        ("steps", " 20 ", 20),
        ("steps", "2e1", 20),
        ("guidance_scale", 0, 0.0),
        ("guidance_scale", "30", 30.0),
        ("guidance_scale", ".5", 0.5),
        ("noise_level", 350, 350),
        ("seed", 0, 0),
        ("prompt", "", ""),
        ("prompt", "x" * 1000, "x" * 1000),
    ],
)
def test_allowed_values_are_read_in_every_form_that_the_wire_has(
    name: str, value: Any, expected: Any
) -> None:
    result = read_option(name, value)
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, bounds.minimum - 1) for name, bounds in NUMBERS.items()),
        *((name, bounds.maximum + 1) for name, bounds in NUMBERS.items()),
        *(
            (name, wrong)
            for name in NUMBERS
            for wrong in (True, "", "abc", "1_0", "١", [1], "1" * 33)
        ),
        *((name, float(wrong)) for name in NUMBERS for wrong in ("nan", "inf", "-inf")),
        ("steps", 1.5),
        ("noise_level", "20.5"),
        ("seed", 2.0**60),
        ("prompt", 5),
        ("prompt", None),
        ("negative_prompt", "x" * 1001),
        ("eta", 0),
    ],
)
def test_other_values_are_refused_with_option_value_and_what_is_allowed(
    name: str, value: Any
) -> None:
    with pytest.raises(BadOption) as caught:
        read_option(name, value)
    assert caught.value.option == name and caught.value.allowed
    assert str(caught.value).startswith(f"{name} ")


def test_a_prompt_longer_than_the_text_encoder_reads_is_refused(model: DiffusionModel) -> None:
    assert model.upscaler(prompt=" ".join(["cat"] * 75)).sampling.prompt
    with pytest.raises(BadOption, match=r"at most 75 tokens \(about 56 words\), not 76"):
        model.upscaler(prompt=" ".join(["cat"] * 76))
    with pytest.raises(BadOption) as caught:
        model.upscaler(negative_prompt=" ".join(["dog"] * 76))
    assert caught.value.option == "negative_prompt"


def test_the_noise_level_is_also_limited_by_the_model(copied: Path, empty: Store) -> None:
    model = loaded(copied, empty)
    model.parts.register_to_config(max_noise_level=100)
    with pytest.raises(BadOption, match="noise_level 101: expected a whole number from 0 to 100"):
        model.upscaler(noise_level=101)
