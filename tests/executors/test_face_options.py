"""The options of faces: where they work, what the answer tells, and where they are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from docarray import Document

from executors.systems import BicubicPP
from superres.faces.enhancer import FaceEnhancer
from tests.executors.conftest import Caller
from tests.inputs import png
from tests.superres.custom.layouts import compact
from tests.superres.faces.portraits import make_enhancer, moved


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """A compact network of random weights, with faces whose place is given by hand."""
    path: Path = tmp_path_factory.mktemp("models") / "2x-Quick.pth"
    torch.save({"params": compact(2, 2, 16)}, path)
    made = Caller(BicubicPP(models=["bicubic_pp.x3", str(path)], device="cpu", optimize="none"))
    faces: FaceEnhancer = make_enhancer(moved(0.1, 0, 30, 30), restore=torch.ones_like)
    made.executor.faces = faces
    return made


def ask(**tags: Any) -> Document:
    return Document(
        blob=png(size=(60, 60)), tags={"model": "2x-Quick", "image_format": "png"} | tags
    )


def test_the_answer_tells_of_faces(caller: Caller) -> None:
    told = caller.one(ask(face_enhance=True, face_strength=0.5)).tags["upscale"]
    assert (told["face_model"], told["face_strength"]) == ("custom", 0.5)
    assert (told["faces_found"], told["faces_restored"]) == (1, 1)
    assert "face_strength" not in caller.one(ask()).tags["upscale"]


def test_strength_decides_how_much_of_a_face_is_seen(caller: Caller) -> None:
    plain, none, whole = (
        caller.one(document).blob
        for document in (ask(), ask(face_enhance=True, face_strength=0), ask(face_enhance=True))
    )
    assert plain == none and plain != whole


@pytest.mark.parametrize(
    ("tags", "option", "words"),
    [
        ({"face_strength": 0.5}, "face_strength", "no value without face_enhance=true"),
        ({"face_strength": 0, "face_enhance": False}, "face_strength", "no value without"),
        ({"face_strength": 1.5, "face_enhance": True}, "face_strength", "from 0 to 1"),
        ({"face_strength": 0.5, "model": "bicubic_pp.x3"}, "face_strength", "no value with model"),
    ],
)
def test_a_strength_without_effect_is_refused(
    caller: Caller, tags: dict[str, Any], option: str, words: str
) -> None:
    told = caller.refusal(ask(**tags))
    assert told["option"] == option and words in told["message"]
