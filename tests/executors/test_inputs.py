"""Bad and odd inputs through the Executor: a clear refusal or an exact image, and it lives on.

Numbers are the rows of the project's test matrix of inputs.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docarray import Document
from PIL import Image, ImageCms

from tests.executors.conftest import Caller, opened
from tests.inputs import (
    OPTIONS,
    REFUSED_BYTES,
    REFUSED_TENSORS,
    REFUSED_URIS,
    SCALES,
    STATUS,
    TENSORS,
    gps,
    in_tiny_chunks,
    interlaced,
    jpeg,
    png,
    ycck,
)

pytestmark = pytest.mark.usefixtures("alive")


@pytest.mark.parametrize(
    ("data", "codes"), [r[1:] for r in REFUSED_BYTES], ids=[r[0] for r in REFUSED_BYTES]
)
def test_unusable_bytes_are_refused(caller: Caller, data: bytes, codes: set[str]) -> None:
    told = caller.refusal(Document(id="mine", blob=data))
    assert told["code"] in codes, told
    assert "mine" in told["message"]
    assert told["status"] == STATUS.get(told["code"], 422)


def test_a_refused_size_names_both_numbers(caller: Caller) -> None:
    message = caller.refusal(Document(blob=png("L", (1000, 401))))["message"]
    assert "1000x401" in message
    assert "400000" in message.replace(",", "").replace("_", "")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (17, 33), (1, 3000), (3000, 1)], ids=str)
def test_any_size_is_enlarged_exactly(caller: Caller, size: tuple[int, int]) -> None:
    made = caller.one(Document(blob=png(size=size)))
    assert opened(made).size == (size[0] * 3, size[1] * 3)
    assert made.tags["upscale"]["input_size"] == list(size)
    assert made.tags["upscale"]["output_size"] == [size[0] * 3, size[1] * 3]


def test_the_size_at_the_limit_is_taken(caller: Caller) -> None:
    assert opened(caller.one(Document(blob=png("L", (1000, 400))))).size == (3000, 1200)


def test_a_png_without_its_end_is_taken(caller: Caller) -> None:
    assert opened(caller.one(Document(blob=png()[:-12]))).size == (60, 42)


@pytest.mark.parametrize(
    ("mode", "comes_back_as"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA")],
)
def test_modes_come_back_as_what_can_hold_them(
    caller: Caller, mode: str, comes_back_as: str
) -> None:
    assert opened(caller.one(Document(blob=png(mode)))).mode == comes_back_as


def test_a_transparent_palette_keeps_its_alpha(caller: Caller) -> None:
    made = opened(caller.one(Document(blob=png("P", transparency=0))))
    assert made.mode == "RGBA"


def test_ycck_keeps_its_hue(caller: Caller) -> None:
    made = opened(caller.one(Document(blob=ycck(), tags={"image_format": "png"})))
    red, green, blue = made.getpixel((30, 20))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("stored", [interlaced, in_tiny_chunks])
def test_however_a_png_is_stored_it_is_the_same_picture(
    caller: Caller, stored: Callable[[], bytes]
) -> None:
    odd, plain = (opened(caller.one(Document(blob=data))) for data in (stored(), png()))
    assert np.array_equal(np.asarray(odd), np.asarray(plain))


def test_cmyk_keeps_its_hue(caller: Caller) -> None:
    out = BytesIO()
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(out, "JPEG", quality=100)
    made = opened(caller.one(Document(blob=out.getvalue(), tags={"image_format": "png"})))
    red, green, blue = made.getpixel((30, 30))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("name", ["gray16.png", "rgb16.png"])
def test_16_bits_stay_16_bits(caller: Caller, shared_data: Path, name: str) -> None:
    made = caller.one(Document(blob=(shared_data / "photos" / name).read_bytes()))
    assert made.tags["upscale"]["bit_depth"] == 16


def test_a_dark_16_bit_picture_stays_dark(caller: Caller) -> None:
    out = BytesIO()
    Image.fromarray(np.full((12, 12), 200, np.uint16)).save(out, "PNG")
    made = np.asarray(opened(caller.one(Document(blob=out.getvalue()))))
    assert (made == 200).all()


def test_float_samples_are_refused_not_black(caller: Caller) -> None:
    out = BytesIO()
    Image.fromarray(np.random.rand(8, 8).astype(np.float32)).save(out, "TIFF")
    assert caller.refusal(Document(blob=out.getvalue()))["code"] == "MODE"


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_every_frame_is_enlarged(caller: Caller, format_name: str) -> None:
    frames = [Image.new("RGB", (12, 8), (60 * i, 30, 200 - 50 * i)) for i in range(3)]
    out = BytesIO()
    frames[0].save(out, format_name, save_all=True, append_images=frames[1:])
    made = caller.one(Document(blob=out.getvalue()))
    assert getattr(opened(made), "n_frames", 1) == 3
    assert made.tags["upscale"]["frames"] == 3


def test_frames_that_the_format_cannot_hold_are_counted(caller: Caller) -> None:
    frames = [Image.new("RGB", (12, 8), (60 * i, 30, 90)) for i in range(3)]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    made = caller.one(Document(blob=out.getvalue(), tags={"image_format": "jpeg"}))
    assert made.tags["upscale"]["frames_dropped"] == 2


@pytest.mark.parametrize("format_name", ["AVIF", "WEBP", "BMP", "ICO", "PPM", "TIFF"])
def test_other_formats_are_read(caller: Caller, format_name: str) -> None:
    data = png(size=(16, 16), format=format_name)
    assert opened(caller.one(Document(blob=data))).size == (48, 48)


def test_content_beats_the_name(caller: Caller) -> None:
    made = caller.one(Document(blob=png(), uri="photo.jpg"))
    assert made.mime_type == "image/png"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_picture(caller: Caller, orientation: int) -> None:
    upright = Image.open(BytesIO(png(size=(20, 14))))
    undo = [None, 0, 3, 1, 5, 2, 6, 4][orientation - 1]
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = BytesIO()
    stored.save(out, "PNG", exif=exif)
    made = caller.one(Document(blob=out.getvalue()), scale="40:-1")
    plain = caller.one(Document(blob=png(size=(20, 14))), scale="40:-1")
    assert np.array_equal(np.asarray(opened(made)), np.asarray(opened(plain)))
    assert opened(made).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_senseless_orientation_counts_as_upright(caller: Caller, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert opened(caller.one(Document(blob=png(exif=exif)))).size == (60, 42)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_corrupt_exif_is_ignored(caller: Caller) -> None:
    data = jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(20))
    assert opened(caller.one(Document(blob=data))).size == (120, 90)


def test_a_profile_is_kept(caller: Caller) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = opened(caller.one(Document(blob=png(icc_profile=profile))))
    assert made.info["icc_profile"] == profile


def test_a_corrupt_profile_is_ignored(caller: Caller) -> None:
    assert opened(caller.one(Document(blob=png(icc_profile=b"no profile")))).size == (60, 42)


def test_positions_do_not_leak(caller: Caller) -> None:
    made = opened(caller.one(Document(blob=jpeg(exif=gps()))))
    assert not made.getexif()


def test_metadata_travels_where_asked_for(caller: Caller) -> None:
    made = opened(caller.one(Document(blob=jpeg(exif=gps())), keep_metadata=True))
    assert made.getexif()[0x010F] == "Camera"


def test_progressive_jpeg_is_read(caller: Caller) -> None:
    assert opened(caller.one(Document(blob=jpeg(progressive=True)))).size == (120, 90)


def test_bytes_after_a_jpeg_are_ignored(caller: Caller) -> None:
    assert opened(caller.one(Document(blob=jpeg() + b"<html>"))).size == (120, 90)


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
)
def test_flat_colours_come_back_exactly(caller: Caller, colour: tuple[int, int, int]) -> None:
    out = BytesIO()
    Image.new("RGB", (30, 20), colour).save(out, "PNG")
    made = np.asarray(opened(caller.one(Document(blob=out.getvalue()))))
    assert (made == colour).all()


def test_the_same_picture_gives_the_same_bytes(caller: Caller) -> None:
    made = {caller.one(Document(blob=png())).blob for _ in range(20)}
    assert len(made) == 1


@pytest.mark.parametrize("uri", [r[1] for r in REFUSED_URIS], ids=[r[0] for r in REFUSED_URIS])
def test_such_a_uri_is_refused(caller: Caller, uri: str) -> None:
    told = caller.refusal(Document(uri=uri))
    assert told["status"] == 422
    assert len(told["message"]) < 500


def test_a_blob_that_is_a_url_is_guarded_like_a_uri(caller: Caller) -> None:
    assert caller.refusal(Document(blob=b"http://127.0.0.1/a.png"))["code"] == "ADDRESS"


def test_data_uris_are_read(caller: Caller) -> None:
    from urllib.parse import quote

    for uri in (
        "data:image/png;base64," + b64encode(png()).decode(),
        "data:image/jpeg;base64," + b64encode(png()).decode(),
        "data:;base64," + urlsafe_b64encode(png()).decode(),
        "data:image/png," + quote(png()),
    ):
        assert opened(caller.one(Document(uri=uri))).size == (60, 42)


def test_with_a_blob_the_uri_is_never_opened(caller: Caller) -> None:
    made = caller.one(Document(blob=png(), uri="/etc/hostname"))
    assert opened(made).size == (60, 42)
    assert made.uri is None or made.uri == ""


@pytest.mark.parametrize("document", [Document(), Document(text="a cat")], ids=["nothing", "text"])
def test_a_document_without_a_picture_is_refused(caller: Caller, document: Document) -> None:
    assert caller.refusal(document)["code"] == "NO_IMAGE"


def test_no_documents_give_no_documents(caller: Caller) -> None:
    assert len(caller.many([])) == 0


def test_too_many_documents_are_refused(caller: Caller) -> None:
    from executors.error_response import RequestFailed

    with pytest.raises(RequestFailed, match="DOCUMENTS"):
        caller.many([Document(blob=png()) for _ in range(9)])


def test_a_bad_document_does_not_harm_its_neighbours(caller: Caller) -> None:
    docs = [
        Document(id="a", blob=png()),
        Document(id="b", blob=b"no"),
        Document(id="c", blob=png()),
    ]
    made = caller.many(docs)
    assert [doc.id for doc in made] == ["a", "b", "c"]
    assert [bool(doc.blob) for doc in made] == [True, False, True]
    assert made[1].tags["error"]["code"] in {"UNDECODABLE", "FORMAT"}
    assert "error" not in made[0].tags


def test_errors_raise_fails_the_whole_request(caller: Caller) -> None:
    from executors.error_response import RequestFailed

    with pytest.raises(RequestFailed):
        caller.many([Document(blob=png()), Document(blob=b"no")], errors="raise")


def test_errors_tags_marks_even_a_single_document(caller: Caller) -> None:
    made = caller.one(Document(blob=b"no"), errors="tags")
    assert made.tags["error"]["message"]
    assert not made.blob


def test_documents_with_one_id_keep_their_order(caller: Caller) -> None:
    docs = [Document(id="x", blob=png(size=(w, 4))) for w in (5, 6, 7)]
    assert [opened(doc).size[0] for doc in caller.many(docs)] == [15, 18, 21]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda a: f"{a.shape} {a.dtype}")
def test_tensors_are_enlarged(caller: Caller, tensor: Any) -> None:
    made = caller.one(Document(tensor=tensor))
    assert opened(made).size == (24, 18)
    assert made.mime_type == "image/png"
    assert made.tensor is None


@pytest.mark.parametrize(
    ("tensor", "code"),
    REFUSED_TENSORS,
    ids=lambda a: a if isinstance(a, str) else f"{a.shape} {a.dtype}",
)
def test_other_tensors_are_refused(caller: Caller, tensor: Any, code: str) -> None:
    document = Document()
    document.tensor = tensor
    assert caller.refusal(document)["code"] == code


@pytest.mark.parametrize(("name", "value"), OPTIONS, ids=[f"{n}={v!r}" for n, v in OPTIONS])
def test_a_wrong_option_is_named_with_its_value_and_remedy(
    caller: Caller, name: str, value: Any
) -> None:
    told = caller.refusal(Document(blob=png()), **{name: value})
    assert told["option"] == name
    assert name in told["message"]
    assert told["allowed"]
    assert told["status"] == 422


@pytest.mark.parametrize("scale", SCALES, ids=[s[:24] for s in SCALES])
def test_a_wrong_scale_is_refused(caller: Caller, scale: str) -> None:
    told = caller.refusal(Document(blob=png()), scale=scale)
    assert told["option"] == "scale"
    assert told["allowed"]


def test_a_scale_beyond_the_model_names_the_largest_size(caller: Caller) -> None:
    assert "60x42" in caller.refusal(Document(blob=png()), scale="61:-1")["message"]


@pytest.mark.parametrize(
    ("scale", "size"),
    [("40:-1", (40, 28)), (" 40 : -1 ", (40, 28)), ("0:-0", (20, 14)), ("iw*2:ih*2", (40, 28))],
)
def test_a_scale_is_met_exactly(caller: Caller, scale: str, size: tuple[int, int]) -> None:
    assert opened(caller.one(Document(blob=png()), scale=scale)).size == size


@pytest.mark.parametrize("name", ["PNG", "png", ".png", "jpg", "JPEG", "webp"])
def test_formats_have_several_spellings(caller: Caller, name: str) -> None:
    wanted = {"p": "PNG", ".": "PNG", "j": "JPEG", "w": "WEBP"}[name[0].lower()]
    assert opened(caller.one(Document(blob=png(), tags={"image_format": name}))).format == wanted


@pytest.mark.parametrize("path", ["/etc/cron.d/x", "../../x", "out.gif"])
def test_an_output_path_is_echoed_and_never_touched(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = caller.one(Document(blob=png(), tags={"output_path": path}))
    assert made.tags["output_path"] == path
    assert not list(tmp_path.iterdir())


def test_the_output_path_names_the_format_where_nothing_else_does(caller: Caller) -> None:
    made = caller.one(Document(blob=png(), tags={"output_path": "/tmp/x.jpg"}))
    assert opened(made).format == "JPEG"


@pytest.mark.parametrize("quality", [0, 100, "80", 80.0])
def test_good_qualities(caller: Caller, quality: Any) -> None:
    made = caller.one(Document(blob=png(), tags={"image_format": "jpeg"}), quality=quality)
    assert opened(made).format == "JPEG"


def test_quality_shows(caller: Caller) -> None:
    sizes = [
        len(caller.one(Document(blob=jpeg()), quality=quality).blob) for quality in (10, 50, 95)
    ]
    assert sizes == sorted(set(sizes))


def test_png_compression_shows_in_the_size_and_not_in_the_pixels(caller: Caller) -> None:
    made = [
        caller.one(Document(blob=png(), tags={"png_compression": level})) for level in (0, "1", 9.0)
    ]
    sizes = [len(document.blob) for document in made]
    assert sizes[0] > sizes[1] > sizes[2]
    assert len({opened(document).tobytes() for document in made}) == 1


@pytest.mark.parametrize("level", [-1, 10, 1.5, "best", True])
def test_a_wrong_png_compression_is_refused(caller: Caller, level: Any) -> None:
    told = caller.refusal(Document(blob=png()), png_compression=level)
    assert told["option"] == "png_compression"
    assert told["allowed"] == "a whole number from 0 to 9"


def test_tags_beat_parameters(caller: Caller) -> None:
    document = Document(blob=png(), tags={"image_format": "webp", "mine": {"deep": [1]}})
    made = caller.one(document, image_format="jpeg")
    assert opened(made).format == "WEBP"
    assert made.tags["mine"] == {"deep": [1]}


def test_null_and_unknown_options_are_as_absent(caller: Caller) -> None:
    made = caller.one(Document(blob=png()), scale=None, something="else")
    assert opened(made).size == (60, 42)


def test_a_wrong_tag_of_a_known_name_is_refused(caller: Caller) -> None:
    told = caller.refusal(Document(blob=png(), tags={"quality": [1, 2]}))
    assert told["option"] == "quality"


def test_the_model_can_be_chosen(caller: Caller) -> None:
    made = caller.one(Document(blob=png(), tags={"model": "bicubic_pp.x2"}))
    assert opened(made).size == (40, 28)
    assert made.tags["upscale"]["model"] == "bicubic_pp.x2"
