"""Chains of steps: order, depth, strength, sizes, progress, what they tell and what they refuse."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from superres.catalogue import CATALOGUE
from superres.catalogue.restorers import RESTORERS
from superres.errors import BadOption
from superres.faces.enhancer import FaceEnhancer
from superres.geometry import Size
from superres.image.frame import Frame
from superres.image.frame_stream import FrameStream
from superres.image.resample import resize_stream
from superres.inference.device import Device
from superres.model_loader import LoadedModel, NetworkModel
from superres.restoration.chained_model import Blending, ChainedModel, make_chain
from superres.weights.store import Store

CPU = Device(torch.device("cpu"))
PHOTO: NDArray[np.uint8] = np.ascontiguousarray(astronaut()[100:163, 180:277])


@pytest.fixture(scope="module")
def main_model() -> NetworkModel:
    return NetworkModel(CATALOGUE["bicubic_pp.x2"], CPU, Store(Path("/nowhere"), offline=True))


@pytest.fixture(scope="module")
def load() -> Callable[[str], LoadedModel]:
    made = {
        name: NetworkModel(spec, CPU, Store(Path("/nowhere"), offline=True))
        for name, spec in RESTORERS.items()
    }
    return lambda name: made[name]


Make = Callable[..., ChainedModel]


@pytest.fixture
def make(main_model: NetworkModel, load: Callable[[str], LoadedModel]) -> Make:
    def chain(*steps: str, faces: FaceEnhancer | None = None, **blending: float) -> ChainedModel:
        return make_chain(steps, main_model, faces, load, Blending(**blending))

    return chain


def test_steps_are_done_in_their_order_without_rounding_between(
    make: Make, main_model: NetworkModel, load: Callable[[str], LoadedModel]
) -> None:
    deep = PHOTO.astype(np.uint16) * 257
    for name in ("deblock", "denoise"):
        deep = load(name).upscaler().upscale(deep).pixels
    deep = main_model.upscaler().upscale(deep).pixels
    made = make("deblock", "denoise", "upscale").upscaler().upscale(PHOTO).pixels
    assert made.dtype == np.uint8
    assert (made == np.rint(deep / 257)).all()
    other = make("upscale", "deblock", "denoise").upscaler().upscale(PHOTO).pixels
    assert other.shape == made.shape
    assert (other != made).any()


def test_one_step_is_the_model_itself(make: Make, main_model: NetworkModel) -> None:
    made = make("upscale").upscaler().upscale(PHOTO).pixels
    assert (made == main_model.upscaler().upscale(PHOTO).pixels).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_an_enlargement_the_size_stays(
    make: Make, dtype: type[np.generic], channels: int
) -> None:
    factor = 257 if dtype == np.uint16 else 1
    pixels = PHOTO[..., :channels].astype(dtype) * dtype(factor)  # type: ignore[call-arg]
    chain = make("deblock", "denoise")
    assert chain.spec.scale == 1
    made = chain.upscaler().upscale(pixels).pixels
    assert (made.shape, made.dtype) == (pixels.shape, pixels.dtype)
    assert abs(made.astype(int) - pixels).mean() < 8 * factor


@pytest.mark.parametrize("steps", [("upscale",), ("denoise", "upscale"), ("denoise",)])
def test_strength_blends_over_the_plain_enlargement(make: Make, steps: tuple[str, ...]) -> None:
    whole = make(*steps).upscaler().upscale(PHOTO).pixels
    size = Size(whole.shape[1], whole.shape[0])
    plain = resize_stream(FrameStream.of(Frame(PHOTO)), size, weighted=False).whole().colour
    none = make(*steps, strength=0.0).upscaler().upscale(PHOTO).pixels
    half = make(*steps, strength=0.5).upscaler().upscale(PHOTO).pixels
    assert abs(none.astype(int) - plain).max() <= 1
    assert abs(half - (whole / 2 + plain / 2)).max() <= 1.5


def test_progress_counts_the_steps_together(make: Make) -> None:
    heard: list[tuple[int, int]] = []
    upscaler = make("deblock", "denoise", "upscale").upscaler()
    result = upscaler.upscale(PHOTO, progress=lambda done, total: heard.append((done, total)))
    shares = [done / total for done, total in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[0] <= 1 / 3
    assert result.cost.tiles >= 3
    assert result.cost.computed >= 3 * PHOTO.shape[0] * PHOTO.shape[1]


def test_it_tells_what_was_done(make: Make) -> None:
    upscaler = make("denoise", "upscale", strength=0.25).upscaler()
    assert upscaler.report == {
        "restore": [
            {"step": "denoise", "model": "compact.denoise-x1"},
            {"step": "upscale", "model": "bicubic_pp.x2"},
        ],
        "strength": 0.25,
    }


def find_middle(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    height, width = image.shape[:2]
    points = np.array([(0.45, 0.45), (0.55, 0.45), (0.5, 0.52), (0.46, 0.58), (0.54, 0.58)])
    return [(points * (width, height)).astype(np.float32)]


@pytest.mark.parametrize("steps", [("faces", "upscale"), ("upscale", "faces"), ("faces",)])
def test_faces_are_a_step_wherever_they_stand(make: Make, steps: tuple[str, ...]) -> None:
    def invert(face: torch.Tensor) -> torch.Tensor:
        return -face

    def parse(face: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(1, 19, *face.shape[2:])
        scores[:, 1] = 1  # skin everywhere
        return scores

    faces = FaceEnhancer(find_middle, invert, parse, torch.device("cpu"))  # type: ignore[arg-type]
    upscaler = make(*steps, faces=faces).upscaler()
    made = upscaler.upscale(PHOTO).pixels
    scale = upscaler.spec.scale
    assert made.shape == (PHOTO.shape[0] * scale, PHOTO.shape[1] * scale, 3)
    assert (upscaler.faces_found, upscaler.faces_restored) == (1, 1)
    assert upscaler.report["faces_restored"] == 1
    plain = make("upscale").upscaler().upscale(PHOTO).pixels if scale > 1 else PHOTO
    changed = abs(made.astype(int) - plain).max(axis=2) > 8
    assert 0.01 < changed.mean() < 0.7  # the face, and no more


def test_what_it_takes_is_the_sum_of_time_and_the_most_of_memory(make: Make) -> None:
    size = Size(400, 300)
    alone, whole = make("upscale").estimate(size), make("deblock", "upscale").estimate(size)
    assert whole.seconds > alone.seconds
    assert whole.host_bytes >= alone.host_bytes
    assert whole.plan == alone.plan


def test_what_is_no_step_is_refused(
    make: Make, main_model: NetworkModel, load: Callable[[str], LoadedModel]
) -> None:
    with pytest.raises(BadOption, match='restore "faces": expected steps without faces'):
        make("faces", "upscale")
    with pytest.raises(BadOption, match="keeps the size, not x2"):
        make_chain(("bicubic_pp.x2",), main_model, None, lambda _: main_model, Blending())
