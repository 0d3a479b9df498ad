"""Degraded copies of images: kinds, sizes, seeds, errors."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from superres.codecs.decode import decode
from superres.codecs.encode import FORMATS
from superres.degrade import DegradeOptions, crop_frame, degrade_frame, degrade_image, make_seed
from superres.errors import BadImage, BadOption
from superres.image.frame import Frame
from tests.executors.conftest import png
from tests.inputs import gps

RAMP = np.linspace(0, 255, 50 * 38 * 3).reshape(38, 50, 3).astype(np.uint8)


def test_grey_stays_grey_and_alpha_stays() -> None:
    alpha = np.zeros((38, 50), np.uint8)
    alpha[:, 25:] = 255
    frame = crop_frame(Frame(RAMP[..., :1].copy(), alpha), 3)
    made, steps = degrade_frame(frame, DegradeOptions("realesrgan", 3, 5))
    assert (made.size, made.channels) == ((16, 12), 2)
    assert made.alpha is not None
    assert (made.alpha[:, :8] == 0).all()
    assert (made.alpha[:, 9:] == 255).all()
    assert len(steps) > 4


def test_sixteen_bits_become_eight_of_the_same_levels() -> None:
    deep = degrade_frame(Frame(RAMP.astype(np.uint16) * 257), DegradeOptions("none", 1, 0)).frame
    assert (deep.colour == RAMP).all()


def test_a_side_is_cut_to_a_multiple_and_may_not_be_shorter() -> None:
    assert crop_frame(Frame(RAMP), 7).size == (49, 35)
    with pytest.raises(BadImage, match="at least 39x39") as caught:
        crop_frame(Frame(RAMP), 39)
    assert caught.value.code == "TOO_SMALL"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (DegradeOptions(recipe="snow"), "recipe"),
        (DegradeOptions(reduction=0), "reduction"),
        (DegradeOptions(reduction=17), "reduction"),
        (DegradeOptions(seed=-1), "seed"),
        (DegradeOptions(seed=2**63), "seed"),
    ],
)
def test_a_wrong_option_is_named(options: DegradeOptions, name: str) -> None:
    with pytest.raises(BadOption) as caught:
        degrade_frame(Frame(RAMP), options)
    assert caught.value.option == name


def test_the_record_says_what_was_done_and_side_data_stay_out() -> None:
    data = png(size=(50, 38), exif=gps())
    made = degrade_image(decode(data), DegradeOptions("jpeg", 4, 2**62), FORMATS["webp"])
    assert made.record["seed"] == str(2**62)  # a float in protobuf would round it
    assert (made.record["input_size"], made.record["cropped"]) == ([50, 38], [2, 2])
    assert made.record["output_size"] == [12, 9]
    assert [step["step"] for step in made.record["steps"]][:2] == ["fit", "jpeg"]
    with Pillow.open(io.BytesIO(made.encoded.data)) as image:
        assert (image.format, image.size) == ("WEBP", (12, 9))
        assert not image.getexif()


def test_a_seed_depends_on_the_set_and_the_name() -> None:
    seeds = {make_seed(seed, name) for seed in range(4) for name in ("a", "b", "c/a")}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
