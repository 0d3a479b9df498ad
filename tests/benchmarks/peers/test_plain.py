import pytest
import torch

from benchmarks.peers.case import Unavailable
from benchmarks.peers.plain import loaded, plain
from benchmarks.peers.weights import random
from superres.catalogue import CATALOGUE

MODELS = (
    "bicubic_pp.x3",
    "dipnet.x4",
    "lapsrn.x2",
    "lapsrn.x4",
    "lapsrn.x8",
    "realesrgan.anime-x4",
    "realesrgan.animevideo-x4",
    "realesrgan.x2plus",
    "swinir.lightweight-x2",
)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_plain_network_is_what_ours_computes(name: str) -> None:
    spec = CATALOGUE[name]
    state = random(spec)
    ours = loaded(spec.build().eval(), state)
    picture = torch.rand(1, 3, 24, 32)
    torch.testing.assert_close(plain(spec, state)(picture), ours(picture), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["swin2sr.real-x4", "lapsrn.x3", "lapsrn.ms-d5r2-x4"])
def test_a_model_without_a_plain_form_says_so(name: str) -> None:
    with pytest.raises(Unavailable, match="no plain form"):
        plain(CATALOGUE[name], {})
