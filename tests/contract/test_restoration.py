"""What is a chain of steps and what is none."""

import pytest

from contract.restoration import PRESETS, STEPS, WrongChain, find_preset_model, read_chain


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ("jpeg", ("deblock", "upscale")),
        (" old-photo ", ("deblock", "denoise", "upscale", "faces")),
        ("deblock, upscale", ("deblock", "upscale")),
        (["denoise", "my-model", "upscale"], ("denoise", "my-model", "upscale")),
        ("upscale", ("upscale",)),
    ],
)
def test_a_preset_a_text_and_a_list_are_chains(value: object, steps: tuple[str, ...]) -> None:
    assert read_chain(value) == steps


@pytest.mark.parametrize(
    "value",
    ["", ",", "deblock,,upscale", [], [1], {"deblock": 1}, 3, None, ["a"] * 2, ["x"] * 9, True],
)
def test_what_is_no_chain_is_refused(value: object) -> None:
    with pytest.raises(WrongChain) as caught:
        read_chain(value)
    assert str(caught.value)


def test_presets_are_made_of_steps() -> None:
    assert all(set(preset.steps) <= STEPS.keys() for preset in PRESETS.values())
    assert find_preset_model("anime") == "realesrgan.anime-x4"
    assert find_preset_model("jpeg") is None
    assert find_preset_model(["anime"]) is None
