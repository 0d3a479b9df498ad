import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from skimage.data import astronaut

from superres.catalogue import CATALOGUE
from superres.codecs.decode import decode
from superres.codecs.encode import find_format
from superres.errors import BadOption, TooLarge
from superres.faces.enhancer import FaceEnhancer
from superres.geometry import Size
from superres.image.frame import Frame, Image, Pixels
from superres.image.size_expression import SizeExpression
from superres.inference.device import Device
from superres.inference.planning import Plan
from superres.inference.result import Cost, Progress, RowStream
from superres.inference.upscaler import NetworkUpscaler, Upscaler
from superres.pipeline import OutputOptions, upscale

CPU = torch.device("cpu")
# Left and right eye, nose, corners of the mouth of the astronaut.
LANDMARKS = np.array([[204, 112], [247, 110], [227, 137], [209, 157], [246, 155]], float)


@pytest.fixture(scope="module")
def lanczos() -> NetworkUpscaler:
    spec = CATALOGUE["lanczos.x2"]
    return NetworkUpscaler(spec, spec.build(), Device(CPU))


def picture(width: int, height: int, **fields: object) -> Image:
    colour = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image((Frame(colour, fields.pop("alpha", None)),), "png", **fields)  # type: ignore[arg-type]


def opened(data: bytes) -> PillowImage.Image:
    made = PillowImage.open(BytesIO(data))
    made.load()
    return made


def test_the_answer_records_what_was_made(lanczos: NetworkUpscaler) -> None:
    answer = upscale(picture(9, 7), lanczos, OutputOptions(scale=SizeExpression.parse("12:-1")))
    assert answer.input_size == (9, 7)
    assert answer.output_size == (12, 9)
    assert opened(answer.encoded.data).size == (12, 9)
    assert (answer.model_scale, answer.cost.tiles, answer.cost.redone) == (2, 1, 0)
    assert answer.cost.seconds > 0


def test_limits_are_checked_before_any_work(lanczos: NetworkUpscaler) -> None:
    seen: list[int] = []

    def note(done: int, total: int) -> None:
        seen.append(done)

    with pytest.raises(TooLarge, match="144"):
        upscale(picture(6, 6), lanczos, OutputOptions(), 143, note)
    wide = Image((Frame(np.zeros((1, 10_000, 3), np.uint8)),), "webp")
    with pytest.raises(BadOption, match="16383"):
        upscale(wide, lanczos, OutputOptions(), progress=note)
    assert not seen


def test_alpha_keeps_its_full_and_empty_areas_and_nothing_bleeds(lanczos: NetworkUpscaler) -> None:
    alpha = np.zeros((20, 20), np.uint8)
    alpha[:, 10:] = 255
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[:, 10:] = (200, 100, 50)
    colour[:, :10] = (0, 255, 0)  # hidden: must not tint the edge
    answer = upscale(Image((Frame(colour, alpha),), "png"), lanczos, OutputOptions())
    made = np.asarray(opened(answer.encoded.data)).astype(int)
    assert (made[:, :14, 3] == 0).all()
    assert (made[:, 26:, 3] == 255).all()
    seen = made[..., 3] > 0
    assert abs(made[seen][:, :3] - (200, 100, 50)).max() <= 1


def test_every_frame_counts_in_the_progress(lanczos: NetworkUpscaler) -> None:
    frames = tuple(Frame(np.full((6, 8, 3), 40 * i, np.uint8), None, 100) for i in range(3))
    seen: list[tuple[int, int]] = []
    upscale(
        Image(frames, "gif"),
        lanczos,
        OutputOptions(image_format=find_format("webp")),
        progress=lambda *tiles: seen.append(tiles),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_faces_are_restored_in_the_enlarged_picture(lanczos: NetworkUpscaler) -> None:
    parsed = torch.zeros(1, 19, 512, 512)
    parsed[:, 1] = 1  # every pixel is skin
    faces = FaceEnhancer(lambda pixels: [LANDMARKS], torch.ones_like, lambda face: parsed, CPU)
    photo = Image((Frame(np.ascontiguousarray(astronaut()[:300, :400])),), "png")
    plain = np.asarray(opened(upscale(photo, lanczos, OutputOptions()).encoded.data)).astype(int)
    answer = upscale(photo, lanczos, OutputOptions(), faces=faces)
    made = np.asarray(opened(answer.encoded.data)).astype(int)
    changed = abs(made - plain).max(-1) > 0
    assert changed[280, 450]  # the nose, at twice its place
    assert (made[274, 454] == 255).all()
    assert not changed[500:, 700:].any()
    told = {"face_model": "custom", "face_strength": 1.0, "faces_found": 1, "faces_restored": 1}
    assert answer.report == told


def test_faces_keep_transparency_and_depth(lanczos: NetworkUpscaler) -> None:
    parsed = torch.zeros(1, 19, 512, 512)
    parsed[:, 1] = 1
    faces = FaceEnhancer(lambda pixels: [LANDMARKS], torch.ones_like, lambda face: parsed, CPU)
    colour = np.ascontiguousarray(astronaut()[:300, :400]).astype(np.uint16) * 257
    alpha = np.full((300, 400), 65535, np.uint16)
    alpha[:100] = 0
    image = Image((Frame(colour, alpha),), "png")
    answers = [upscale(image, lanczos, OutputOptions(), faces=f) for f in (None, faces)]
    plain, made = (decode(answer.encoded.data).frames[0] for answer in answers)
    assert plain.alpha is not None and made.alpha is not None
    assert np.array_equal(plain.alpha, made.alpha) and made.bit_depth == 16
    assert (made.colour[274, 454] == 65535).all() and (plain.colour[274, 454] < 65535).any()


@pytest.mark.parametrize("name", ["rgba.png", "palette_transparent.png", "cmyk.jpg", "gray16.png"])
def test_real_photos_come_back_larger(
    lanczos: NetworkUpscaler, shared_data: Path, name: str
) -> None:
    image = decode((shared_data / "photos" / name).read_bytes())
    answer = upscale(image, lanczos, OutputOptions())
    assert opened(answer.encoded.data).size == (2 * image.size.width, 2 * image.size.height)


# Row by row


class Repeater(Upscaler):
    """A model that repeats every pixel, some rows at a time."""

    def __init__(self, rows: int = 10_000) -> None:
        self.spec = CATALOGUE["lanczos.x2"]
        self.device = Device(CPU)
        self.step = rows
        self.closed = False

    @property
    def cpu_lock(self) -> None:
        """It computes on no core of its own."""

    def stream(
        self,
        pixels: Pixels,
        tile: int = 0,
        overlap: int | None = None,
        progress: Progress = lambda done, total: None,
        plan: Plan | None = None,
    ) -> RowStream:
        cost = Cost(1.5, 7, 1, 0)
        size = Size(pixels.shape[1], pixels.shape[0]).times(2)
        return RowStream(size, self.rows(pixels, progress), cost)

    def rows(self, pixels: Pixels, progress: Progress) -> Iterator[Pixels]:
        try:
            for top in range(0, len(pixels), self.step):
                yield pixels[top : top + self.step].repeat(2, 0).repeat(2, 1)
                progress(top // self.step + 1, 1 + (len(pixels) - 1) // self.step)
        finally:
            self.closed = True


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("scale", [None, "91:-1", "iw:ih*2"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_rows_make_the_file_that_the_whole_makes(
    depth: type, channels: int, scale: str | None, name: str
) -> None:
    top = int(np.iinfo(depth).max) + 1
    levels = np.random.default_rng(3).integers(0, top, (110, 61, channels), depth)
    frame = Frame(levels[..., : 3 if channels > 2 else 1])
    if channels in (2, 4):
        frame = Frame(frame.colour, levels[..., -1])
    expression = SizeExpression.parse(scale) if scale else None
    options = OutputOptions(find_format(name), expression)
    model = Repeater(9)
    made = upscale(Image((frame,), "png"), model, options)
    assert made == upscale(Image((frame,), "png"), Repeater(), options)
    assert (made.cost.seconds, made.cost.peak_memory, made.cost.tiles) == (1.5, 7, 1)
    assert model.closed


@pytest.mark.parametrize("name", ["png", "jpeg"])
@pytest.mark.parametrize("scale", [None, "2500:-1"])
@pytest.mark.parametrize("transparent", [False, True])
def test_the_result_is_never_held_as_a_whole(
    name: str, scale: str | None, transparent: bool
) -> None:
    colour = np.zeros((2000, 1500, 3), np.uint8)
    alpha = np.zeros((2000, 1500), np.uint8) if transparent else None
    image = Image((Frame(colour, alpha),), "png")
    expression = SizeExpression.parse(scale) if scale else None
    peaks = []
    for _ in range(3):  # how far the encoder lags behind is up to threads
        tracemalloc.start()
        try:
            upscale(image, Repeater(9), OutputOptions(find_format(name), expression))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 20 * 2**20  # of 36 MB, 48 with alpha; at the smaller size 25 and 33


def test_a_caller_who_leaves_ends_the_model_s_work() -> None:
    model = Repeater(9)

    def leave(done: int, total: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        upscale(picture(20, 90), model, OutputOptions(), progress=leave)
    assert model.closed


def test_frames_that_the_format_cannot_hold_are_not_made() -> None:
    frames = tuple(Frame(np.full((6, 8, 3), 40 * i, np.uint8), None, 100) for i in range(3))
    seen: list[tuple[int, int]] = []
    answer = upscale(
        Image(frames, "gif", frames_dropped=2),
        Repeater(),
        OutputOptions(find_format("jpeg")),
        progress=lambda *tiles: seen.append(tiles),
    )
    assert seen == [(1, 1)]
    assert (answer.cost.tiles, answer.encoded.frames, answer.encoded.frames_dropped) == (1, 1, 4)


def test_a_higher_compression_makes_a_smaller_file_of_the_same_pixels() -> None:
    image = picture(80, 60)
    files = [
        upscale(image, Repeater(), OutputOptions(png_compression=level)).encoded.data
        for level in (0, 1, 9)
    ]
    assert len(files[0]) > len(files[1]) > len(files[2])
    assert all(np.array_equal(opened(files[0]), opened(file)) for file in files)


def test_a_compression_out_of_range_is_refused_before_any_work() -> None:
    model = Repeater(9)
    with pytest.raises(BadOption, match=r"png_compression.*10.*0 to 9"):
        upscale(picture(8, 8), model, OutputOptions(png_compression=10))
    assert not model.closed


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_a_model_and_the_encoder_share_the_cores(lanczos: NetworkUpscaler, name: str) -> None:
    threads = torch.get_num_threads()
    image = picture(700, 900)
    files = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert (lanczos.cpu_lock is None) == (count == 1)
            files.append(upscale(image, lanczos, OutputOptions(find_format(name))).encoded.data)
    finally:
        torch.set_num_threads(threads)
    assert files[0] == files[1]
