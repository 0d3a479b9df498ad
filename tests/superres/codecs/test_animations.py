from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from superres.codecs.decode import decode
from tests.superres.codecs.files import animation, noise, photo, saved, tiff


@pytest.mark.parametrize(
    ("form", "options", "loop"),
    [
        ("GIF", {"loop": 0}, 0),
        ("GIF", {"loop": 2}, 3),
        ("GIF", {}, 1),
        ("PNG", {"loop": 3}, 3),
        ("PNG", {"loop": 0}, 0),
        ("WEBP", {"loop": 3}, 3),
        ("AVIF", {}, 0),
    ],
)
def test_every_frame_of_an_animation_is_read_with_its_time(
    form: str, options: dict[str, Any], loop: int
) -> None:
    image = decode(animation(form, duration=[50, 100, 150, 200], **options))
    assert [frame.milliseconds for frame in image.frames] == [50, 100, 150, 200]
    assert image.loop == loop
    assert image.frames_dropped == 0
    for index, frame in enumerate(image.frames):
        expected = np.asarray(photo().rotate(20 * index)).astype(int)
        assert np.abs(frame.colour - expected).mean() < 14


def test_partial_frames_are_composed() -> None:
    first = Pillow.new("RGB", (20, 20), "red")
    second = first.copy()
    second.paste("blue", (5, 5, 10, 10))
    data = saved(first, "GIF", save_all=True, append_images=[second], duration=10)
    frames = decode(data).frames
    assert frames[1].colour[7, 7].tolist() == [0, 0, 255]
    assert frames[1].colour[0, 0].tolist() == [255, 0, 0]


def test_frames_of_several_kinds_are_made_alike() -> None:
    pages = [photo(mode="1"), photo(mode="RGB"), photo(mode="LA")]
    image = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert [frame.channels for frame in image.frames] == [4, 4, 4]


def test_the_stand_in_of_an_animated_png_is_no_frame() -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("black", "red", "blue")]
    data = saved(frames[0], "PNG", save_all=True, default_image=True, append_images=frames[1:])
    image = decode(data)
    assert [frame.colour[0, 0].tolist() for frame in image.frames] == [[255, 0, 0], [0, 0, 255]]


def test_pages_of_one_size_are_frames_and_16_bits_stay() -> None:
    levels = noise((3, 9, 12, 3))
    image = decode(tiff(levels, photometric="rgb"))
    assert image.frames_dropped == 0
    for frame, page in zip(image.frames, levels, strict=True):
        assert np.array_equal(frame.colour, page)


def test_of_pages_of_several_sizes_the_first_is_read() -> None:
    pages = [photo(30, 20), photo(30, 20), photo(8, 9)]
    image = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert len(image.frames) == 1
    assert image.frames_dropped == 2
    assert np.array_equal(image.frames[0].colour, np.asarray(pages[0]))
