import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from superres.errors import BadImage
from superres.image.frame import Frame, Image, bleed_alpha, read_tensor
from tests.superres.codecs.png.noise import DEPTHS, SIDES, noise

# Tensors


@pytest.mark.parametrize(
    ("shape", "channels", "transparent"),
    [
        ((5, 7), 1, False),
        ((5, 7, 1), 1, False),
        ((5, 7, 3), 3, False),
        ((5, 7, 4), 3, True),
        ((1, 1, 3), 3, False),
        ((1, 9), 1, False),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, ">f4"])
def test_a_tensor_becomes_an_8_bit_png_frame(
    shape: tuple[int, ...], channels: int, transparent: bool, dtype: str
) -> None:
    levels = noise(shape[0], shape[1], shape[2] if len(shape) > 2 else 1).reshape(shape)
    given_values = levels if dtype is np.uint8 else (levels / 255).astype(dtype)
    image = read_tensor(given_values)
    frame = image.frames[0]
    assert image.format == "png"
    assert image.size == (shape[1], shape[0])
    assert frame.colour.dtype == np.uint8
    assert frame.colour.shape == (shape[0], shape[1], channels)
    assert (frame.alpha is not None) == transparent
    assert np.array_equal(frame.rows(0, shape[0]), levels.reshape(shape[0], shape[1], -1))


def test_floats_are_rounded_to_the_nearest_level() -> None:
    values = np.array([[0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 254.6 / 255, 1]])
    assert read_tensor(values).frames[0].colour.ravel().tolist() == [0, 0, 1, 254, 255, 255]


def test_torch_tensors_and_lists_of_floats_are_taken() -> None:
    assert read_tensor(torch.full((2, 3, 3), 0.5)).frames[0].colour[0, 0].tolist() == [128] * 3
    assert read_tensor([[0.0, 1.0]]).size == (2, 1)


def test_a_read_only_or_strided_tensor_becomes_a_frame_that_torch_can_share() -> None:
    levels = noise(6, 8, 3)[::2, ::2]
    levels.flags.writeable = False
    colour = read_tensor(levels).frames[0].colour
    assert colour.flags.c_contiguous
    assert torch.from_numpy(colour).shape == (3, 4, 3)


@pytest.mark.parametrize(
    ("array", "code", "says"),
    [
        (np.zeros((4, 4), bool), "DTYPE", "bool"),
        (np.zeros((4, 4), np.int64), "DTYPE", "int64"),
        (np.zeros((4, 4), np.uint16), "DTYPE", "uint16"),
        (np.zeros((4, 4), complex), "DTYPE", "complex128"),
        (np.array([["a"]]), "DTYPE", "<U1"),
        (np.array([[None]]), "DTYPE", "object"),
        (torch.zeros((4, 4), dtype=torch.bfloat16), "DTYPE", "Tensor"),
        (torch.zeros((4, 4), requires_grad=True), "DTYPE", "Tensor"),
        (None, "SHAPE", "()"),
        (np.zeros((3, 20, 30), np.uint8), "SHAPE", "move the channels to the end"),
        (np.zeros((4, 4, 2), np.uint8), "SHAPE", "(4, 4, 2)"),
        (np.zeros((4, 4, 5), np.uint8), "SHAPE", "(4, 4, 5)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "SHAPE", "(1, 4, 4, 3)"),
        (np.zeros((0, 0, 3), np.uint8), "SHAPE", "no side of 0"),
        (np.zeros((0, 4), np.uint8), "SHAPE", "no side of 0"),
        (np.zeros(4, np.uint8), "SHAPE", "(4,)"),
        (np.array([[0, np.nan]]), "NON_FINITE", "NaN"),
        (np.array([[0, np.inf]]), "NON_FINITE", "infinity"),
        (np.array([[0, -np.inf, np.nan]]), "NON_FINITE", "infinity"),
        (np.array([[0, -0.01]]), "RANGE", "from -0.01 to 0"),
        (np.array([[0, 255.0]]), "RANGE", "floats are 0..1"),
    ],
)
def test_a_tensor_that_holds_no_picture_is_refused(array: object, code: str, says: str) -> None:
    with pytest.raises(BadImage) as caught:
        read_tensor(array)
    assert caught.value.code == code
    assert says in str(caught.value)


# Frames


@pytest.mark.parametrize(
    ("colour", "alpha"),
    [
        (np.zeros((2, 2), np.uint8), None),
        (np.zeros((2, 2, 2), np.uint8), None),
        (np.zeros((2, 2, 3), np.float32), None),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)),
    ],
)
def test_a_frame_is_what_it_promises(
    colour: NDArray[np.uint8], alpha: NDArray[np.uint8] | None
) -> None:
    with pytest.raises(AssertionError):
        Frame(colour, alpha)


def test_the_frames_of_an_image_are_alike() -> None:
    small, large = Frame(noise(2, 2, 3)), Frame(noise(3, 2, 3))
    with pytest.raises(AssertionError):
        Image((small, large), "gif")
    with pytest.raises(AssertionError):
        Image((), "gif")


# Colour under alpha


@pytest.mark.parametrize("alpha", [None, np.full((4, 4), 9, np.uint8), np.zeros((4, 4), np.uint8)])
def test_spreading_changes_nothing_where_nothing_or_everything_is_hidden(
    alpha: NDArray[np.uint8] | None,
) -> None:
    frame = Frame(noise(4, 4, 3), alpha)
    assert bleed_alpha(frame) is frame


@given(SIDES, SIDES, st.sampled_from([1, 3]), DEPTHS, st.integers(0, 2**32))
def test_spreading_shows_only_visible_colours_and_keeps_those_where_they_are(
    w: int, h: int, channels: int, depth: type, seed: int
) -> None:
    alpha = noise(h, w, 1, depth, seed)[..., 0]
    alpha[alpha < np.iinfo(depth).max // 2] = 0
    frame = Frame(noise(h, w, channels, depth, seed), alpha)
    made = bleed_alpha(frame)
    assert made.alpha is frame.alpha
    if alpha.any():
        visible = alpha > 0
        assert np.array_equal(made.colour[visible], frame.colour[visible])
        colours = set(map(tuple, frame.colour[visible].tolist()))
        assert set(map(tuple, made.colour.reshape(-1, channels).tolist())) <= colours


def test_hidden_pixels_take_the_nearest_colour() -> None:
    colour = np.zeros((9, 41, 3), np.uint8)
    colour[:, 0], colour[:, 40] = (255, 0, 0), (0, 0, 255)
    alpha = np.zeros((9, 41), np.uint8)
    alpha[:, (0, 40)] = 255
    made = bleed_alpha(Frame(colour, alpha)).colour
    assert (made[:, :19] == (255, 0, 0)).all()
    assert (made[:, 22:] == (0, 0, 255)).all()
