"""Faces are found, restored and put back where they were, and nothing else changes.

Most tests give the landmarks by hand and let the restorer return its input, so that geometry,
colours and depth show alone.
"""

import threading
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from superres.errors import BadSetting, Failed, WeightsMismatch, WeightsMissing
from superres.faces import alignment, enhancer, models, networks
from superres.faces.alignment import Landmarks
from superres.faces.enhancer import Bytes, FaceEnhancer
from superres.image.frame import Pixels
from superres.weights.store import Store
from tests.superres.faces.portraits import (
    CPU,
    EYES_NOSE_MOUTH,
    LANDMARKS,
    LEFT,
    SIDE,
    TOP,
    darker,
    enlarged,
    make_enhancer,
    moved,
    photo,
    psnr,
)

BOX = slice(TOP, TOP + SIDE), slice(LEFT, LEFT + SIDE)


@pytest.fixture(scope="module")
def portrait() -> Bytes:
    return np.ascontiguousarray(photo()[BOX])


def grey(picture: Bytes) -> Bytes:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]


# Nothing to do


def test_a_picture_without_faces_comes_back_as_it_is(portrait: Bytes) -> None:
    big = enlarged(portrait, 2)
    assert make_enhancer().enhance(portrait, big, 2).pixels is big


def test_landmarks_that_fit_no_face_are_passed_over(portrait: Bytes) -> None:
    big = enlarged(portrait, 2)
    assert make_enhancer(np.full((5, 2), 50.0)).enhance(portrait, big, 2).pixels is big


# Several faces, and strength


def test_faces_too_small_are_counted_and_left_alone(portrait: Bytes) -> None:
    big = enlarged(portrait, 2)
    tiny = moved(4.9 / 125.92, 0.5, 100, 100)
    out = make_enhancer(tiny, restore=darker).enhance(portrait, big, 2)
    assert out.pixels is big and (out.found, out.restored) == (1, 0)
    both = make_enhancer(tiny, LANDMARKS, restore=darker).enhance(portrait, big, 2)
    alone = make_enhancer(LANDMARKS, restore=darker).enhance(portrait, big, 2)
    assert (both.found, both.restored) == (2, 1) and np.array_equal(both.pixels, alone.pixels)


def test_each_of_several_faces_is_restored_in_its_place(portrait: Bytes) -> None:
    left, right = moved(0.15, 0, 50, 100), moved(0.15, 0.3, 150, 100)
    big = enlarged(portrait, 2)
    both = make_enhancer(left, right, restore=darker).enhance(portrait, big, 2)
    assert (both.found, both.restored) == (2, 2)
    for face, half in ((left, slice(None, 200)), (right, slice(200, None))):
        alone = make_enhancer(face, restore=darker).enhance(portrait, big, 2).pixels
        assert (alone[:, half] != big[:, half]).any()
        assert np.array_equal(both.pixels[:, half], alone[:, half])


def test_beyond_the_bound_the_surest_faces_are_restored(
    portrait: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enhancer, "MAX_FACES", 1)
    faces = moved(0.15, 0, 50, 100), moved(0.15, 0.3, 150, 100)
    big = enlarged(portrait, 2)
    out = make_enhancer(*faces, restore=darker).enhance(portrait, big, 2)
    assert (out.found, out.restored) == (2, 1)
    assert np.array_equal(out.pixels[:, 200:], big[:, 200:]) and (out.pixels != big).any()


@pytest.mark.parametrize("deep", [False, True])
def test_strength_blends_the_restored_face_with_the_plain_one(portrait: Bytes, deep: bool) -> None:
    image: Pixels = portrait.astype(np.uint16) * 257 if deep else portrait
    big = enlarged(image, 2)
    person = make_enhancer(LANDMARKS, restore=darker)
    whole = person.enhance(image, big, 2).pixels.astype(float)
    for strength in (0.25, 0.5, 0.9):
        out = person.enhance(image, big, 2, strength=strength).pixels
        assert np.abs(out - (strength * whole + (1 - strength) * big)).max() <= 1.01
    none = person.enhance(image, big, 2, strength=0)
    assert none.pixels is big and (none.found, none.restored) == (1, 0)


# Colours


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 40), (255, 255, 255), (0, 0, 0)]
)
def test_a_flat_colour_keeps_its_hue(colour: tuple[int, int, int]) -> None:
    patch = np.full((SIDE, SIDE, 3), colour, np.uint8)
    big = enlarged(patch, 2)
    seen: list[torch.Tensor] = []

    def restore(face: torch.Tensor) -> torch.Tensor:
        seen.append(face)
        return face

    out = make_enhancer(LANDMARKS, restore=restore).enhance(patch, big, 2).pixels
    assert np.abs(out.astype(int) - big).max() <= 1
    levels = (seen[0][0, :, 256, 256] + 1) * 127.5
    assert levels.numpy() == pytest.approx(np.array(colour), abs=0.01)


def reddish(face: torch.Tensor) -> torch.Tensor:
    return face + torch.tensor([0.5, 0, -0.5])[:, None, None]


def test_a_restored_colour_lands_in_its_own_channel(portrait: Bytes) -> None:
    big = enlarged(portrait, 2)
    out = make_enhancer(LANDMARKS, restore=reddish).enhance(portrait, big, 2).pixels
    red, green, blue = np.moveaxis(out.astype(int) - big, 2, 0)
    assert red.max() > 50 and blue.min() < -50
    assert red.mean() > 2 and blue.mean() < -2 and abs(green.mean()) < 0.5


def test_grey_stays_grey_whatever_the_network_paints(portrait: Bytes) -> None:
    one = grey(portrait)
    out = make_enhancer(LANDMARKS, restore=reddish).enhance(one, enlarged(one, 2), 2).pixels
    assert out.shape == (2 * SIDE, 2 * SIDE, 1)


def test_a_colour_file_of_a_grey_picture_gets_no_tint(portrait: Bytes) -> None:
    one = grey(portrait)
    three = np.repeat(one, 3, axis=2)
    big = enlarged(three, 2)
    out = make_enhancer(LANDMARKS, restore=reddish).enhance(three, big, 2).pixels
    assert (out != big).any()
    assert not enhancer.has_colour(out)
    alone = make_enhancer(LANDMARKS, restore=reddish).enhance(one, enlarged(one, 2), 2).pixels
    assert np.array_equal(alone[..., 0], out[..., 0])


# Depth


def test_sixteen_bits_stay_sixteen_bits(portrait: Bytes) -> None:
    noise = np.random.default_rng(0).integers(-128, 128, portrait.shape)
    deep = np.clip(portrait.astype(int) * 257 + noise, 0, 65535).astype(np.uint16)
    big = enlarged(deep, 2)
    out = make_enhancer(LANDMARKS, restore=darker).enhance(deep, big, 2).pixels
    shallow = (
        make_enhancer(LANDMARKS, restore=darker).enhance(portrait, enlarged(portrait, 2), 2).pixels
    )
    assert out.dtype == np.uint16
    pasted = (out != big).any(axis=2)
    assert 0.1 < pasted.mean() < 0.6
    # The same image at both depths: within rounding and the noise that was put in.
    assert np.abs(out / 257 - shallow).max() < 2.5
    assert len(np.unique(out[pasted] % 257)) > 200, "the face has only 8-bit levels"


# What the network gives


def test_numbers_that_are_not_finite_are_an_error(portrait: Bytes) -> None:
    broken = make_enhancer(LANDMARKS, restore=lambda face: face * torch.nan)
    with pytest.raises(Failed, match="not finite"):
        broken.enhance(portrait, enlarged(portrait, 2), 2)


def test_hair_counts_and_clothes_do_not() -> None:
    classes = np.zeros((512, 512), np.int64)
    classes[:256], classes[256:] = 13, 18
    mask = alignment.make_soft_mask(classes)
    assert mask[100, 256] == pytest.approx(1) and mask[400, 256] == 0
    assert (mask[:10] == 0).all() and (mask[:, -10:] == 0).all()


def test_progress_counts_faces_and_may_end_the_work(portrait: Bytes) -> None:
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 2:
            raise InterruptedError

    three = make_enhancer(LANDMARKS, LANDMARKS + 3, LANDMARKS - 3)
    with pytest.raises(InterruptedError):
        three.enhance(portrait, enlarged(portrait, 1), 1, progress)
    assert calls == [(1, 3), (2, 3)]


def test_threads_take_turns_at_the_networks(portrait: Bytes) -> None:
    inside, crowds = 0, []

    def restore(face: torch.Tensor) -> torch.Tensor:
        nonlocal inside
        inside += 1
        time.sleep(0.01)
        crowds.append(inside)
        inside -= 1
        return darker(face)

    shared, big = make_enhancer(LANDMARKS, restore=restore), enlarged(portrait, 1)
    results: list[Pixels] = []
    threads = [
        threading.Thread(target=lambda: results.append(shared.enhance(portrait, big, 1).pixels))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowds == [1] * 4
    assert all(np.array_equal(result, results[0]) for result in results) and len(results) == 4


# Detection


class Seer:
    """Stands for RetinaFace: remembers what it was shown and answers with given rows."""

    def __init__(self, *rows: list[float]) -> None:
        self.rows = np.array(rows, np.float32).reshape(-1, 15)

    def detect_faces(self, picture: Bytes, confidence: float) -> Any:
        self.picture, self.confidence = picture, confidence
        return self.rows


def row(landmarks: Landmarks) -> list[float]:
    return [0, 0, 9, 9, 0.99, *landmarks.flatten().tolist()]


def test_the_detector_sees_blue_green_red() -> None:
    seer = Seer()
    assert enhancer.find_landmarks(seer, np.full((9, 7, 3), (1, 2, 3), np.uint8)) == []
    assert seer.picture[0, 0].tolist() == [3, 2, 1] and seer.confidence == 0.97


def test_a_huge_picture_is_shrunk_for_detection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enhancer, "DETECTION_PIXELS", 50 * 100)
    seer = Seer(row(LANDMARKS))
    (found,) = enhancer.find_landmarks(seer, np.zeros((200, 400, 3), np.uint8))
    assert seer.picture.shape == (50, 100, 3)
    assert found == pytest.approx((LANDMARKS + 0.5) * 4 - 0.5)


@pytest.fixture(scope="module")
def retinaface() -> torch.nn.Module:
    """RetinaFace that is sure of nothing: its scores for a face are those of chance."""
    torch.manual_seed(0)
    network = networks.retinaface(CPU).eval()
    for head in network.get_submodule("ClassHead").modules():
        if isinstance(head, torch.nn.Conv2d):
            torch.nn.init.zeros_(head.weight)
    return network


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 300)])
def test_the_smallest_pictures_have_no_faces(
    retinaface: torch.nn.Module, size: tuple[int, int]
) -> None:
    assert enhancer.find_landmarks(retinaface, np.zeros((*size, 3), np.uint8)) == []


# Weights


def test_every_file_is_known_by_its_hash_but_one() -> None:
    for weights in models.FACE_WEIGHTS:
        assert weights.url is not None and weights.url.endswith(weights.file)
        if weights.file == "RestoreFormer.pth":
            assert weights.sha256 is None
            continue
        assert weights.sha256 is not None and len(weights.sha256) == 64 and weights.size


def test_gfpgan_and_the_parser_are_not_for_commercial_use() -> None:
    restricted = {weights.file for weights in models.FACE_WEIGHTS if "NC" in weights.licence}
    assert restricted == {"GFPGANv1.3.pth", "GFPGANv1.4.pth", "parsing_parsenet.pth"}


def test_an_unknown_face_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r'"codeformer": expected one of gfpgan\.v1\.4, gfpgan'):
        FaceEnhancer.from_store("codeformer", CPU, Store(tmp_path, offline=True))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"GFPGANv1\.4\.pth"):
        FaceEnhancer.from_store(models.DEFAULT, CPU, Store(tmp_path, offline=True))


def test_a_file_without_a_hash_is_never_downloaded(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"put https://.*RestoreFormer\.pth .*not downloaded"):
        FaceEnhancer.from_store("restoreformer.v1", CPU, Store(tmp_path, offline=False))
    assert not list(tmp_path.iterdir())


def test_the_operators_file_is_judged_by_the_network(tmp_path: Path) -> None:
    path = tmp_path / "RestoreFormer.pth"
    torch.save({"params": {"conv_body_first.weight": torch.zeros(32, 3, 1, 1)}}, path)
    model = models.FACE_MODELS["restoreformer.v1"]
    with pytest.raises(WeightsMismatch, match=r"does not fit RestoreFormer: missing encoder\."):
        enhancer.load_network(model.build(), path, model.weights.keys, CPU)


def test_a_file_loads_strictly_and_without_its_prefix(
    retinaface: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "detection.pth"
    state = retinaface.state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, path)
    network = enhancer.load_network(networks.retinaface(CPU), path, models.DETECTION.keys, CPU)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    loaded = network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    with pytest.raises(WeightsMismatch, match=r"does not fit ParseNet: missing encoder\.0"):
        enhancer.load_network(networks.parsenet(), path, models.PARSING.keys, CPU)


# End to end


def test_gfpgan_paints_the_face_of_a_photo(portrait: Bytes) -> None:
    torch.manual_seed(0)
    network = networks.gfpgan().eval().requires_grad_(False)
    big = enlarged(portrait, 2)
    out = (
        make_enhancer(LANDMARKS, restore=partial(enhancer.restore_face, network))
        .enhance(portrait, big, 2)
        .pixels
    )
    pasted = (out != big).any(axis=2)
    assert 0.1 < pasted.mean() < 0.6
    assert not pasted[:10].any() and not pasted[-10:].any()


@pytest.mark.slow
def test_restoreformer_restores_a_face_from_the_operators_file(
    portrait: Bytes, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "RestoreFormer.pth"
    torch.save({"params": networks.restoreformer().state_dict()}, path)
    model = models.FACE_MODELS["restoreformer.v1"]
    network = enhancer.load_network(model.build(), path, model.weights.keys, CPU)
    big = enlarged(portrait, 2)
    restore = partial(enhancer.restore_face, network)
    out = make_enhancer(LANDMARKS, restore=restore).enhance(portrait, big, 2)
    assert out.restored == 1 and 0.1 < (out.pixels != big).any(axis=2).mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "scale"), [("realesrgan_face_gray_00017.png", 2), ("realsrset_face_lincoln.png", 4)]
)
def test_all_networks_together_run_on_photos_with_faces(
    retinaface: torch.nn.Module, shared_data: Path, file: str, scale: int
) -> None:
    """With random weights; landmarks in the middle stand for the detector's."""
    torch.manual_seed(0)
    picture = np.asarray(cv2.imread(str(shared_data / "photos" / file), cv2.IMREAD_UNCHANGED))
    picture = picture.astype(np.uint8).reshape(*picture.shape[:2], -1)[..., ::-1]
    height, width, _ = picture.shape
    landmarks = moved(min(height, width) / 700, 0, width / 2, height / 2)
    network, parser = networks.gfpgan().eval(), networks.parsenet().eval()
    assert enhancer.find_landmarks(retinaface, enhancer.convert_to_8_bits(picture)) == []
    restored = make_enhancer(
        landmarks,
        restore=partial(enhancer.restore_face, network),
        parse=lambda face: parser(face)[0],
    )
    big = enlarged(np.ascontiguousarray(picture), scale)
    out = restored.enhance(picture, big, scale).pixels
    assert out.shape == big.shape and (out != big).any()
    assert out.shape[2] == 1 or enhancer.has_colour(out) == enhancer.has_colour(big)


@pytest.mark.weights
@pytest.mark.parametrize("face_model", list(models.FACE_MODELS))
def test_the_published_networks_restore_a_face(face_model: str, portrait: Bytes) -> None:
    store = Store.from_environment(offline=True)
    needed = (models.FACE_MODELS[face_model].weights, models.DETECTION, models.PARSING)
    missing = {weights.file for weights in needed if not here(weights.file, store)}
    if missing:
        pytest.skip(f"SUPERRES_WEIGHTS_DIR has no {', '.join(sorted(missing))}")
    published = FaceEnhancer.from_store(face_model, CPU, store)
    (landmarks,) = published.detect(photo())
    assert landmarks == pytest.approx(EYES_NOSE_MOUTH, abs=4)
    small = np.asarray(cv2.resize(portrait, (100, 100), interpolation=cv2.INTER_AREA), np.uint8)
    big = enlarged(small, 2)
    out = published.enhance(small, big, 2).pixels
    pasted = (out != big).any(axis=2)
    assert 0.1 < pasted.mean() < 0.7
    assert psnr(out[pasted], big[pasted]) > 20, "another face, or another channel order"
    assert np.abs(out[pasted].mean(axis=0) - big[pasted].mean(axis=0)).max() < 12
    assert np.array_equal(out, published.enhance(small, big, 2).pixels), (
        "noise differs between calls"
    )


def here(file: str, store: Store) -> bool:
    return any((folder / file).is_file() for folder in chain(store.folders, [store.cache()]))
