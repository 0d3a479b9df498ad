from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from skimage.data import astronaut

from superres.catalogue import CATALOGUE
from superres.decode import decode
from superres.encode import format_named
from superres.errors import BadOption, TooLarge
from superres.faces import FaceEnhancer
from superres.image import Frame, Image
from superres.pipeline import Options, upscale
from superres.scale import ScaleExpression
from superres.upscaler import Device, Upscaler

CPU = torch.device("cpu")
# Left and right eye, nose, corners of the mouth of the astronaut.
LANDMARKS = np.array([[204, 112], [247, 110], [227, 137], [209, 157], [246, 155]], float)


@pytest.fixture(scope="module")
def lanczos() -> Upscaler:
    spec = CATALOGUE["lanczos.x2"]
    return Upscaler(spec, spec.build(), Device(CPU))


def picture(width: int, height: int, **fields: object) -> Image:
    colour = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image((Frame(colour, fields.pop("alpha", None)),), "png", **fields)  # type: ignore[arg-type]


def opened(data: bytes) -> PillowImage.Image:
    made = PillowImage.open(BytesIO(data))
    made.load()
    return made


def test_the_answer_records_what_was_made(lanczos: Upscaler) -> None:
    answer = upscale(picture(9, 7), lanczos, Options(scale=ScaleExpression.parse("12:-1")))
    assert answer.input_size == (9, 7)
    assert answer.output_size == (12, 9)
    assert opened(answer.encoded.data).size == (12, 9)
    assert (answer.model_scale, answer.tiles, answer.redone) == (2, 1, 0)
    assert answer.seconds > 0


def test_limits_are_checked_before_any_work(lanczos: Upscaler) -> None:
    seen: list[int] = []

    def note(done: int, total: int) -> None:
        seen.append(done)

    with pytest.raises(TooLarge, match="144"):
        upscale(picture(6, 6), lanczos, Options(), 143, note)
    wide = Image((Frame(np.zeros((1, 10_000, 3), np.uint8)),), "webp")
    with pytest.raises(BadOption, match="16383"):
        upscale(wide, lanczos, Options(), progress=note)
    assert not seen


def test_alpha_keeps_its_full_and_empty_areas_and_nothing_bleeds(lanczos: Upscaler) -> None:
    alpha = np.zeros((20, 20), np.uint8)
    alpha[:, 10:] = 255
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[:, 10:] = (200, 100, 50)
    colour[:, :10] = (0, 255, 0)  # hidden: must not tint the edge
    answer = upscale(Image((Frame(colour, alpha),), "png"), lanczos, Options())
    made = np.asarray(opened(answer.encoded.data)).astype(int)
    assert (made[:, :14, 3] == 0).all()
    assert (made[:, 26:, 3] == 255).all()
    seen = made[..., 3] > 0
    assert abs(made[seen][:, :3] - (200, 100, 50)).max() <= 1


def test_every_frame_counts_in_the_progress(lanczos: Upscaler) -> None:
    frames = tuple(Frame(np.full((6, 8, 3), 40 * i, np.uint8), None, 100) for i in range(3))
    seen: list[tuple[int, int]] = []
    upscale(
        Image(frames, "gif"),
        lanczos,
        Options(image_format=format_named("webp")),
        progress=lambda *tiles: seen.append(tiles),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_faces_are_restored_in_the_enlarged_picture(lanczos: Upscaler) -> None:
    parsed = torch.zeros(1, 19, 512, 512)
    parsed[:, 1] = 1  # every pixel is skin
    faces = FaceEnhancer(lambda pixels: [LANDMARKS], torch.ones_like, lambda face: parsed, CPU)
    photo = Image((Frame(np.ascontiguousarray(astronaut()[:300, :400])),), "png")
    plain = np.asarray(opened(upscale(photo, lanczos, Options()).encoded.data)).astype(int)
    answer = upscale(photo, lanczos, Options(), faces=faces)
    made = np.asarray(opened(answer.encoded.data)).astype(int)
    changed = abs(made - plain).max(-1) > 0
    assert changed[280, 450]  # the nose, at twice its place
    assert (made[274, 454] == 255).all()
    assert not changed[500:, 700:].any()


@pytest.mark.parametrize("name", ["rgba.png", "palette_transparent.png", "cmyk.jpg", "gray16.png"])
def test_real_photos_come_back_larger(lanczos: Upscaler, shared_data: Path, name: str) -> None:
    image = decode((shared_data / "photos" / name).read_bytes())
    answer = upscale(image, lanczos, Options())
    assert opened(answer.encoded.data).size == (2 * image.size.width, 2 * image.size.height)
