"""Restoration through an Executor: the options restore and strength."""

from typing import Any

import numpy as np
import pytest
from docarray import Document

from executors.systems import BicubicPP
from tests.executors.conftest import Caller, opened
from tests.inputs import jpeg, png


def make_document(**tags: Any) -> Document:
    return Document(blob=jpeg(size=(40, 30)), tags={"image_format": "png", **tags})


@pytest.mark.parametrize(
    ("restore", "size"),
    [
        ("deblock,denoise", (40, 30)),
        (["deblock", "upscale"], (120, 90)),
        ("jpeg", (120, 90)),
        ("scan", (120, 90)),
    ],
)
def test_the_steps_are_done_and_told(caller: Caller, restore: Any, size: tuple[int, int]) -> None:
    answer = caller.one(make_document(restore=restore))
    assert opened(answer).size == size
    record = answer.tags["upscale"]
    assert record["model_scale"] == size[0] // 40
    assert record["model"] == ("bicubic_pp.x3" if size[0] > 40 else "restoration")
    assert record["restore"][0]["model"].startswith("compact.")


def test_a_parameter_and_another_size(caller: Caller) -> None:
    answer = caller.one(make_document(), restore=["denoise"], scale="20:-1")
    assert opened(answer).size == (20, 15)
    told = caller.refusal(make_document(), restore="denoise", scale="80:-1")
    assert (told["code"], told["option"]) == ("SCALE_TOO_LARGE", "scale")


def test_transparent_and_deep_images_keep_their_kind(caller: Caller) -> None:
    (answer,) = caller.many([Document(blob=png("RGBA"), tags={"restore": "deblock,upscale"})])
    assert opened(answer).mode == "RGBA"


def test_strength_is_between_nothing_and_all(caller: Caller) -> None:
    made = {
        strength: np.array(opened(caller.one(make_document(strength=strength)))).astype(int)
        for strength in (0, 0.5, 1)
    }
    between = (made[0] + made[1]) / 2
    assert abs(made[0.5] - between).max() <= 1.5
    assert abs(made[0] - made[1]).max() > 2


@pytest.mark.parametrize(
    ("tags", "option", "words"),
    [
        ({"restore": "snow"}, "restore", "deblock, denoise, faces, upscale"),
        ({"restore": ["deblock", "deblock"]}, "restore", "each step once"),
        ({"restore": "deblock,,"}, "restore", "a preset (jpeg, old-photo, scan, face, anime)"),
        ({"restore": "faces"}, "restore", "no face model is loaded"),
        ({"restore": "bicubic_pp.x2"}, "restore", "keeps the size, not x2"),
        ({"restore": 4}, "restore", "a preset"),
        ({"strength": 1.5}, "strength", "from 0 to 1"),
        ({"restore": "deblock", "denoise_strength": 0.5}, "denoise_strength", "no value with"),
    ],
)
def test_what_is_wrong_is_named(
    caller: Caller, tags: dict[str, Any], option: str, words: str
) -> None:
    told = caller.refusal(make_document(**tags))
    assert told["option"] == option
    assert words in told["message"]


def test_an_operator_may_make_a_chain_the_default() -> None:
    executor = BicubicPP(
        models=["bicubic_pp.x2"], device="cpu", offline=True, restore=["deblock", "upscale"]
    )
    caller = Caller(executor)
    assert len(caller.one(make_document()).tags["upscale"]["restore"]) == 2
    (step,) = caller.one(make_document(restore="upscale")).tags["upscale"]["restore"]
    assert step["model"] == "bicubic_pp.x2"
    executor.close()
    for wrong in (["deblock", ""], ["snow"], "faces"):
        with pytest.raises(SystemExit, match="restore"):
            BicubicPP(device="cpu", offline=True, restore=wrong)
