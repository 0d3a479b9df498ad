import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.peers.plain import plain
from benchmarks.peers.weights import random, state_for
from superres.catalogue import CATALOGUE
from superres.weights.store import ASSETS

EMBEDDED = "bicubic_pp_flat_x3.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "dipnet.x4",
        "lapsrn.x4",
        "realesrgan.anime-x4",
        "realesrgan.general-x4",
        "swinir.lightweight-x2",
    ],
)
@torch.no_grad()
def test_random_weights_make_a_picture(name: str) -> None:
    spec = CATALOGUE[name]
    torch.manual_seed(1)
    made = plain(spec, random(spec))(torch.rand(1, 3, 40, 40))
    inside = (made > 0) & (made < 1)
    assert inside.float().mean() > 0.7
    assert made.std() > 0.05


def test_random_weights_are_the_same_every_time() -> None:
    first, second = (random(CATALOGUE["dipnet.x4"]) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_folder_is_searched_by_name_with_any_note_and_suffix(tmp_path: Path) -> None:
    spec = CATALOGUE["bicubic_pp.x3"]
    noted = EMBEDDED.replace(".safetensors", ".a-note.safetensors")
    shutil.copy(ASSETS / EMBEDDED, tmp_path / noted)
    (tmp_path / "bicubic_pp_flat_x3_other.safetensors").write_bytes(b"not looked at")
    assert state_for(spec, tmp_path)[1] == noted
    assert state_for(spec, None)[1] == EMBEDDED
