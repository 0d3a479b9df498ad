"""A face is cut out of an image and put back where it was: exactly, at any size and angle.

The restorer returns its input, so that the geometry shows alone.
"""

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superres.faces import alignment
from superres.faces.alignment import Landmarks, Matrix
from superres.faces.enhancer import Bytes, Network
from superres.geometry import Size
from superres.image.frame import Pixels
from superres.networks.torchvision_compat import repair_torchvision
from tests.superres.faces.portraits import (
    CPU,
    EYES_NOSE_MOUTH,
    LANDMARKS,
    darker,
    ellipse,
    enlarged,
    make_enhancer,
    moved,
    photo,
    portrait,
    psnr,
)

SCALES = [1, 2, 3, 4]


# Sub-pixel


def test_enlarging_takes_pixel_centres_to_the_middle_of_their_pixels() -> None:
    same = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    for scale in SCALES:
        x, y = alignment.invert_alignment(same, scale) @ [7, 5, 1]
        assert (x, y) == (scale * 7 + (scale - 1) / 2, scale * 5 + (scale - 1) / 2)


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pattern of which every shift shows, between 28 and 228."""
    return 128 + 50 * np.sin(2 * np.pi * x / 19) + 50 * np.sin(2 * np.pi * y / 23 + 1)


def make_pattern(size: int, scale: int) -> Pixels:
    """The pattern of `size` pixels a side, enlarged without any filter: computed where the
    centres of the larger image's pixels lie.
    """
    places = (np.arange(size * scale) - (scale - 1) / 2) / scale
    levels = np.rint(wave(places[None], places[:, None]) * 257).astype(np.uint16)
    return np.repeat(levels[..., None], 3, axis=2)


def measure_shift(seen: Pixels, expected: Pixels, where: np.ndarray) -> tuple[float, float]:
    """How many pixels `seen` lies right of and below `expected`, by least squares."""
    down, right = np.gradient(expected[..., 0].astype(float))
    difference = (seen[..., 0].astype(float) - expected[..., 0])[where]
    slopes = np.column_stack([right[where], down[where]])
    shift = -np.linalg.lstsq(slopes, difference, rcond=None)[0]
    return float(shift[0]), float(shift[1])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("size", "angle"), [(0.15, 0.0), (0.3, 0.0), (0.3, 0.4), (0.3, -2.0), (0.45, 0.1), (1.3, 0.2)]
)
def test_a_face_comes_back_within_a_twentieth_of_a_pixel(
    size: float, angle: float, scale: int
) -> None:
    side = 160
    landmarks = moved(size, angle, 83.3, 76.8)
    flat = np.full((side * scale, side * scale, 3), 0, np.uint16)
    out = make_enhancer(landmarks).enhance(make_pattern(side, 1), flat, scale)
    whole = make_enhancer(landmarks, restore=torch.ones_like)
    weight = whole.enhance(make_pattern(side, 1), flat, scale).pixels[..., 0] / 65535
    where = weight > 0.999
    assert out.restored == 1 and where.sum() > 100
    across, down = measure_shift(out.pixels, make_pattern(side, scale), where)
    assert abs(across) < 0.05 and abs(down) < 0.05


@pytest.mark.parametrize("scale", [2, 4])
def test_the_pattern_shows_the_half_pixel_of_facexlib(
    scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    invert = alignment.invert_alignment

    def invert_as_facexlib(matrix: Matrix, scale: int) -> Matrix:
        return invert(matrix, scale) + np.array([[0, 0, 0.5], [0, 0, 0.5]])

    monkeypatch.setattr("superres.faces.enhancer.invert_alignment", invert_as_facexlib)
    pattern, big = make_pattern(160, 1), make_pattern(160, scale)
    out = make_enhancer(moved(0.3, 0, 80, 80)).enhance(pattern, big, scale).pixels
    middle = np.zeros(big.shape[:2], bool)
    middle[55 * scale : 105 * scale, 55 * scale : 105 * scale] = True
    assert measure_shift(out, big, middle) == pytest.approx((0.5, 0.5), abs=0.1)


# Real photos


class Case(NamedTuple):
    """A photo with her face at a size, an angle and a place."""

    size: float = 1.0
    angle: float = 0.0  # degrees
    left: int = 0  # cut off
    top: int = 0


CASES = {
    "as it is": Case(),
    "turned a little": Case(angle=17),
    "turned a lot": Case(angle=-73),
    "head down": Case(angle=180),
    "half cut off at the left": Case(left=224),
    "forehead cut off, turned": Case(top=95, angle=12),
    "small": Case(size=0.5),
    "smaller": Case(size=0.37, angle=5),
    "larger": Case(size=2.0),
    "larger than 512 pixels": Case(size=3.3, angle=8),
}


def take(case: Case) -> tuple[Bytes, Landmarks]:
    """The photo as a case has it, without more detail than it can hold, and the landmarks."""
    side = int(512 * case.size)
    way = cv2.INTER_AREA if side < 512 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(photo(), (side, side), interpolation=way))
    landmarks = (EYES_NOSE_MOUTH + 0.5) * case.size - 0.5
    x, y = landmarks.mean(axis=0)
    turn = cv2.getRotationMatrix2D((float(x), float(y)), case.angle, 1)
    image = np.asarray(cv2.warpAffine(image, turn, (side, side), flags=cv2.INTER_CUBIC))
    landmarks = np.column_stack([landmarks, np.ones(5)]) @ turn.T
    bottom, right = (int(end + 110 * case.size) for end in (y, x))
    top, left = (max(0, int(end - 110 * case.size)) for end in (y, x))
    top, left = max(top, case.top), max(left, case.left)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return part.astype(np.uint8), landmarks - [left, top]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_face_that_is_not_changed_comes_back_as_it_was(case: Case, scale: int) -> None:
    image, landmarks = take(case)
    if case.size > 2 and scale > 2:
        pytest.skip("the same sizes of a face above 512 pixels, in four times the time")
    big = enlarged(image, scale)
    same = make_enhancer(landmarks).enhance(image, big, scale).pixels
    pasted = make_enhancer(landmarks, restore=darker).enhance(image, big, scale).pixels != big
    assert pasted.mean() > 0.05
    assert psnr(same[pasted], big[pasted]) >= 45


def test_at_its_own_size_a_face_loses_only_the_finest_detail() -> None:
    """At x1 it is shrunk to a third: what is near the limit of the pixels is lost twice."""
    big = portrait()
    same = make_enhancer(LANDMARKS).enhance(big, big, 1).pixels
    pasted = make_enhancer(LANDMARKS, restore=darker).enhance(big, big, 1).pixels != big
    assert psnr(same[pasted], big[pasted]) > 38


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_face_lies_about_its_landmarks(scale: int) -> None:
    big = enlarged(portrait(), scale)
    out = make_enhancer(LANDMARKS, restore=darker).enhance(portrait(), big, scale).pixels
    rows, columns = np.nonzero((out != big).any(axis=2))
    # The middle of FFHQ's faces is 52 / 126 of the eyes' distance above their landmarks' mean.
    x, y = (LANDMARKS.mean(axis=0) - [0, 42.5 * 52 / 126]) * scale
    assert np.median(columns) == pytest.approx(x, abs=3 * scale)
    assert np.median(rows) == pytest.approx(y, abs=3 * scale)


@pytest.mark.parametrize("scale", [2, 4])
def test_it_pastes_what_facexlib_pastes_but_for_half_a_pixel(scale: int) -> None:
    big = enlarged(portrait(), scale)
    theirs = paste_by_facexlib(portrait(), big, scale, darker)
    ours = make_enhancer(LANDMARKS, restore=darker).enhance(portrait(), big, scale).pixels
    pasted = ours != big
    assert pasted.any()
    # facexlib interpolates linearly, rounds the face to 8 bits, and cuts off where we round.
    assert psnr(ours[pasted], theirs[pasted]) > 40
    assert abs(float(np.mean(ours[pasted].astype(int) - theirs[pasted]))) < 1


def paste_by_facexlib(picture: Bytes, big: Pixels, scale: int, restore: Network) -> Pixels:
    """The steps of gfpgan's GFPGANer with facexlib's own helper, which downloads if constructed."""
    repair_torchvision()
    from basicsr.utils import img2tensor, tensor2img
    from facexlib.utils.face_restoration_helper import FaceRestoreHelper

    helper = FaceRestoreHelper.__new__(FaceRestoreHelper)
    helper.clean_all()
    helper.template_3points, helper.pad_blur, helper.use_parse = False, False, True
    helper.upscale_factor, helper.face_size, helper.device = scale, (512, 512), CPU
    helper.face_template = alignment.TEMPLATE
    helper.face_parse = lambda face: (ellipse(face), None)
    helper.read_image(np.ascontiguousarray(picture[..., ::-1]))
    helper.all_landmarks_5 = [LANDMARKS]
    helper.align_warp_face()
    for face in helper.cropped_faces:
        x = img2tensor(face / 255.0, bgr2rgb=True, float32=True)[None] * 2 - 1
        helper.add_restored_face(tensor2img(restore(x)[0], rgb2bgr=True, min_max=(-1, 1)))
    helper.get_inverse_affine(None)
    # Half a pixel of the enlarged image too far right and down, which it adds when it pastes.
    (inverse,) = helper.inverse_affine_matrices
    helper.inverse_affine_matrices = [inverse - [[0, 0, 0.5], [0, 0, 0.5]]]
    pasted = helper.paste_faces_to_input_image(upsample_img=np.ascontiguousarray(big[..., ::-1]))
    return np.asarray(pasted, np.uint8)[..., ::-1]


def test_faces_larger_than_a_block_are_pasted_without_a_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    big = enlarged(portrait(), 2)
    whole = make_enhancer(LANDMARKS, restore=darker).enhance(portrait(), big, 2).pixels
    monkeypatch.setattr(alignment, "BLOCK", Size(37, 53))
    parts = make_enhancer(LANDMARKS, restore=darker).enhance(portrait(), big, 2).pixels
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_what_lies_past_the_border_is_the_grey_that_restorers_know() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    matrix = alignment.estimate_alignment(moved(0.3, 0, 0, 50))
    assert matrix is not None
    face = alignment.cut_out_face(white, matrix)
    assert (face[:, :200] * 255).round().tolist()[256][10] == [132, 133, 135]
    assert (face[256, 257:] > 1 - 1e-6).all()


similarities = st.tuples(
    st.floats(0.05, 3), st.floats(-np.pi, np.pi), st.floats(-200, 300), st.floats(-200, 300)
)


@settings(max_examples=30)
@given(similarities)
def test_the_way_there_and_back_ends_where_it_began(how: tuple[float, float, float, float]) -> None:
    landmarks = moved(*how)
    matrix = alignment.estimate_alignment(landmarks)
    assert matrix is not None
    homogeneous = np.column_stack([landmarks, np.ones(5)])
    there = homogeneous @ matrix.T
    assert np.allclose(there, alignment.TEMPLATE, atol=0.5)
    again = np.column_stack([there, np.ones(5)]) @ alignment.invert_alignment(matrix, 1).T
    assert np.allclose(again, landmarks, atol=1e-6)


def flat(shape: tuple[int, ...], deep: bool) -> Pixels:
    return np.full(shape, 100, np.uint16) if deep else np.full(shape, 100, np.uint8)


@settings(max_examples=12)
@given(similarities, st.sampled_from([1, 3]), st.booleans())
def test_a_face_anywhere_changes_only_what_it_reaches(
    how: tuple[float, float, float, float], channels: int, deep: bool
) -> None:
    picture, big = flat((40, 60, channels), deep), flat((80, 120, channels), deep)
    matrix = alignment.estimate_alignment(moved(*how))
    assert matrix is not None
    out = make_enhancer(moved(*how), restore=torch.ones_like).enhance(picture, big, 2).pixels
    assert out.shape == big.shape and out.dtype == big.dtype and (big == 100).all()
    left, top, right, bottom = alignment.bound_face(
        alignment.invert_alignment(matrix, 2), Size(120, 80)
    )
    outside = np.ones((80, 120), bool)
    outside[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = False
    assert (out[outside] == 100).all() and (out >= 100).all()
