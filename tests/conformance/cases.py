"""The table of questions: what each must be answered, over every protocol alike.

Numbers are the rows of the project's test matrix of inputs. Rows 43 to 50 need a server of their
own (test_canary.py, tests/executors/source); row 76 is about JSON itself (test_answers.py).
"""

import math
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np
from imagecodecs import jpeg8_encode
from PIL import Image, ImageCms

from tests.conformance.wires import Fields, Question
from tests.inputs import (
    OPTIONS,
    REFUSED_BYTES,
    REFUSED_TENSORS,
    REFUSED_URIS,
    SCALES,
    TENSORS,
    chunk,
    gps,
    in_tiny_chunks,
    interlaced,
    jpeg,
    png,
    with_chunk,
    ycck,
)

Size = tuple[int, int]

PROTOBUF = ("grpc", "binary")
JSON = ("http", "text")

NOT_FINITE = "JSON has no NaN and no infinity"
TYPES = "JSON has no types of numbers, and protobuf no arrays of objects"
NO_SHAPE = "JSON cannot say how long the rows are of which there are none"
LEVELS = "in JSON whole numbers in 0..255 are levels, whatever type they had"
DEPTH = "protobuf's own parser gives up before anyone can say where"


@dataclass(frozen=True)
class Case:
    """A question and what it is answered.

    `sizes` of the images that come back, None for a Document that fails; `codes` and `option` of
    the problem where the request fails. `json_codes` replaces `codes` over JSON (an empty set: an
    image comes back), and `differs` says why the protocols' answers cannot be the same.
    """

    name: str
    question: Question
    sizes: tuple[Size | None, ...] | None = None
    codes: frozenset[str] = frozenset()
    option: str | None = None
    json_codes: frozenset[str] | None = None
    differs: str = ""


def asked(*documents: Fields, **parameters: Any) -> Question:
    """A question whose Documents have ids."""
    numbered = ({"id": f"d{n}"} | dict(doc) for n, doc in enumerate(documents))
    return Question(tuple(numbered), parameters)


def good(
    name: str, content: bytes | Mapping[str, Any], size: Size = (60, 42), **parameters: Any
) -> Case:
    """A case of one image, given as a file or a Document's fields."""
    fields = {"blob": content} if isinstance(content, bytes) else content
    return Case(name, asked(fields, **parameters), (size,))


def saved(image: Image.Image, format_name: str = "PNG", **options: Any) -> bytes:
    """`image` as a file."""
    out = BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def frames(format_name: str) -> bytes:
    """Three frames of 12x8 pixels."""
    first, *rest = (Image.new("RGB", (12, 8), (60 * i, 30, 200 - 50 * i)) for i in range(3))
    return saved(first, format_name, save_all=True, append_images=rest)


def oriented(orientation: int) -> bytes:
    """An image that is 20x14 upright, stored as `orientation` says."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    upright = Image.open(BytesIO(png()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    return saved(stored, exif=exif)


def in_pieces(data: bytes, size: int) -> bytes:
    """A PNG with its pixels in many small chunks."""
    at = data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4])
    packed = data[at + 8 : at + 8 + length]
    pieces = [chunk(b"IDAT", packed[n : n + size]) for n in range(0, length, size)]
    return data[:at] + b"".join(pieces) + data[at + 12 + length :]


def nested(depth: int) -> dict[str, Any]:
    """An object in an object in an object …"""
    made: dict[str, Any] = {}
    for _ in range(depth - 1):
        made = {"inner": made}
    return made


def pictures() -> Iterator[Case]:
    """Rows 5 to 37: files that are taken."""
    yield good("5 no end", png()[:-12])
    yield good("10 at the limit", png("L", (1000, 400)), (3000, 1200))
    for size in [(1, 1), (2, 3), (7, 5), (17, 33)]:
        yield good(f"12 {size}", png(size=size), (size[0] * 3, size[1] * 3))
    yield good("14 a column", png(size=(1, 20_000)), (3, 60_000))
    yield good("14 a row", png(size=(20_000, 1)), (60_000, 3))
    cmyk = Image.new("CMYK", (20, 14), (0, 255, 255, 0))
    yield good("15 CMYK", {"blob": saved(cmyk, "JPEG"), "tags": {"image_format": "png"}})
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA"]:
        yield good(f"16 {mode}", png(mode))
    yield good("17 palette with alpha", png("P", transparency=0))
    yield good("17 alpha onto white", {"blob": png("RGBA"), "tags": {"image_format": "jpeg"}})
    yield good("18 dark 16 bits", saved(Image.fromarray(np.full((14, 20), 200, np.uint16))))
    for name in ["GIF", "WEBP", "PNG", "TIFF"]:
        yield good(f"20 frames in {name}", frames(name), (36, 24))
    still = {"blob": frames("GIF"), "tags": {"image_format": "jpeg"}}
    yield good("20 frames dropped", still, (36, 24))
    for name in ["AVIF", "WEBP", "BMP", "ICO", "PPM", "TIFF"]:
        yield good(f"23 {name}", png(size=(16, 16), format=name), (48, 48))
    yield good("27 content beats the name", {"blob": png(), "uri": "photo.jpg"})
    for orientation in range(10):
        yield good(f"28 orientation {orientation}", oriented(orientation), (40, 28), scale="40:-1")
    broken = jpeg(size=(20, 14), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(20))
    yield good("29 corrupt EXIF", broken)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield good("30 profile", png(icc_profile=profile))
    yield good("30 corrupt profile", png(icc_profile=b"no profile"))
    yield good("31 position", jpeg(size=(20, 14), exif=gps()))
    yield good("31 position kept", jpeg(size=(20, 14), exif=gps()), keep_metadata=True)
    yield good("15 YCCK", {"blob": ycck(), "tags": {"image_format": "png"}})
    yield good("32 lossless JPEG", jpeg8_encode(np.zeros((14, 20, 3), np.uint8), lossless=True))
    yield good("34 interlaced", interlaced())
    yield good("34 tiny chunks", in_tiny_chunks())
    yield good("32 progressive", jpeg(size=(20, 14), progressive=True))
    yield good("33 junk after", jpeg(size=(20, 14)) + b"<html>")
    yield good("34 many chunks", in_pieces(png(size=(100, 60)), 2), (300, 180))
    for colour in [(0, 0, 0), (255, 255, 255), (255, 0, 0)]:
        yield good(f"35 {colour}", saved(Image.new("RGB", (20, 14), colour)))
    for again in range(3):
        yield good(f"37 once more {again}", png())


def sources() -> Iterator[Case]:
    """Rows 53 to 60: where the image may be."""
    encoded, safe = b64encode(png()).decode(), urlsafe_b64encode(png()).decode()
    yield good("53 data:", {"uri": f"data:image/png;base64,{encoded}"})
    yield good("54 percent", {"uri": "data:image/png," + quote(png())})
    yield good("55 wrong type", {"uri": f"data:image/jpeg;base64,{encoded}"})
    yield good("55 URL-safe, no type", {"uri": f"data:;base64,{safe}"})
    yield good("55 lines", {"uri": f"data:;base64,{encoded[:40]}\n{encoded[40:]}"})
    yield good("56 a blob that is data:", {"blob": f"data:;base64,{encoded}".encode()})
    yield good("58 both", {"blob": png(), "uri": "/etc/hostname"})
    url = {"blob": b"http://127.0.0.1/a.png"}
    yield Case("56 a blob that is a URL", asked(url), codes=frozenset({"ADDRESS"}))
    for name, content in [("59 nothing", {}), ("60 text", {"text": "a cat"})]:
        yield Case(name, asked(content), codes=frozenset({"NO_IMAGE"}))


def several() -> Iterator[Case]:
    """Rows 61 to 64: other numbers of Documents than one."""
    picture, bad = {"blob": png()}, {"blob": b"no"}
    yield Case("61 none", asked(), ())
    yield Case("62 9", asked(*[picture] * 9), codes=frozenset({"DOCUMENTS"}))
    yield Case("62 1000", asked(*[picture] * 1000), codes=frozenset({"DOCUMENTS"}))
    yield Case("62 100 000", asked(*[{}] * 100_000), codes=frozenset({"DOCUMENTS"}))
    sizes = ((60, 42), None, (60, 42))
    yield Case("63 a bad one in the middle", asked(picture, bad, picture), sizes)
    yield Case("63 raised", asked(picture, bad, errors="raise"), codes=frozenset({"UNDECODABLE"}))
    yield Case("63 tagged", asked(bad, errors="tags"), (None,))
    same = [{"id": "x", "blob": png(size=(width, 4))} for width in (5, 6, 7)]
    yield Case("64 one id", asked(*same), ((15, 12), (18, 12), (21, 12)))


def tensors() -> Iterator[Case]:
    """Rows 65 to 69."""
    for tensor in TENSORS:
        yield good(f"65 {tensor.shape} {tensor.dtype}", {"tensor": tensor}, (24, 18))
    for tensor, code in REFUSED_TENSORS:
        name = f"66 {tensor.shape} {tensor.dtype} {code}"
        json_codes, differs = REFUSED_IN_JSON.get(code, (None, ""))
        if tensor.dtype.kind == "O" or tensor.dtype == np.float64:
            differs = TYPES
        elif tensor.dtype == np.int64:
            json_codes, differs = frozenset(), LEVELS
        elif not tensor.size:
            differs = NO_SHAPE
        yield Case(
            name,
            asked({"tensor": tensor}),
            codes=frozenset({code}),
            json_codes=json_codes,
            differs=differs,
        )


REFUSED_IN_JSON: dict[str, tuple[frozenset[str], str]] = {
    "NON_FINITE": (frozenset({"JSON"}), NOT_FINITE)
}


def options() -> Iterator[Case]:
    """Rows 70 to 73, and the strings of `scale`."""
    for name, value in OPTIONS:
        finite = not isinstance(value, float) or math.isfinite(value)
        yield Case(
            f"70 {name}={value!r}",
            asked({"blob": png()}, **{name: value}),
            option=name,
            json_codes=None if finite else frozenset({"JSON"}),
            differs="" if finite else NOT_FINITE,
        )
    for scale in [*SCALES, "61:-1"]:
        yield Case(f"73 scale {scale[:24]}", asked({"blob": png()}, scale=scale), option="scale")
    for scale, size in [("40:-1", (40, 28)), (" 40 : -1 ", (40, 28)), ("iw*2:ih*2", (40, 28))]:
        yield good(f"73 scale {scale}", png(), size, scale=scale)
    yield good("73 scale 0:-0", png(), (20, 14), scale="0:-0")
    for name in ["PNG", ".png", "jpg", "JPEG", "webp"]:
        yield good(f"70 {name}", {"blob": png(), "tags": {"image_format": name}})
    for path in ["/etc/cron.d/x", "../../x", "out.gif", "/tmp/x.jpg"]:
        yield good(f"71 {path}", {"blob": png(), "tags": {"output_path": path}})
    for quality in [0, 100, "80", 80.0]:
        yield good(f"72 {quality!r}", jpeg(size=(20, 14)), quality=quality)


def holders() -> Iterator[Case]:
    """Rows 74 and 75: parameters and tags."""
    tags = {"image_format": "webp", "mine": {"deep": [1, None, "é", True]}}
    yield good("75 tags", {"blob": png(), "tags": tags}, image_format="jpeg")
    yield good("74 null and unknown", png(), scale=None, something="else")
    yield good("the model", {"blob": png(), "tags": {"model": "bicubic_pp.x2"}}, (40, 28))
    wrong = {"blob": png(), "tags": {"quality": [1, 2]}}
    yield Case("75 a list", asked(wrong), option="quality")
    yield good("75 nested as deep as allowed", {"blob": png(), "tags": {"mine": nested(15)}})
    for depth, differs in [(18, ""), (40, DEPTH), (200, DEPTH)]:
        for question in [
            asked({"blob": png(), "tags": {"mine": nested(depth)}}),
            asked({"blob": png()}, mine=nested(depth)),
        ]:
            where = "parameters" if question.parameters else "tags"
            yield Case(
                f"75 {where} nested {depth} deep",
                question,
                codes=frozenset({"REQUEST"}),
                differs=differs,
            )
    yield good("the longest id", {"blob": png(), "id": "é" * 256})
    for name in ["x" * 257, "two\nlines", "nul\0"]:
        yield Case(f"id {name[:9]!r}", asked({"blob": b"no", "id": name}), option="id")
    many = {"blob": png(), "tags": {"mine": list(range(20_001))}}
    yield Case("75 too many values", asked(many), option="mine")


def refused() -> Iterator[Case]:
    """Rows 1 to 58: files and addresses that are refused."""
    for name, data, codes in REFUSED_BYTES:
        yield Case(name, asked({"blob": data}), codes=frozenset(codes))
    for name, uri in REFUSED_URIS:
        yield Case(name, asked({"uri": uri}), option="uri")
    largest = {"blob": png("L", (1000, 400)), "tags": {"model": "bicubic_pp.x4"}}
    yield Case("36 a result beyond the limit", asked(largest), codes=frozenset({"OUTPUT_PIXELS"}))
    samples = np.random.default_rng(1).random((8, 8)).astype(np.float32)
    yield Case(
        "19 float samples",
        asked({"blob": saved(Image.fromarray(samples), "TIFF")}),
        codes=frozenset({"MODE"}),
    )
    html = b"<html>" + jpeg(size=(20, 14))
    yield Case("33 junk before", asked({"blob": html}), codes=frozenset({"UNDECODABLE", "FORMAT"}))
    bomb = zlib.compress(bytes(30_000_000), 9)
    bombed = with_chunk(png(), chunk(b"iCCP", b"a\0\0" + bomb))
    yield Case("11 profile bomb", asked({"blob": bombed}), codes=frozenset({"UNDECODABLE"}))


PARTS = (pictures, sources, several, tensors, options, holders, refused)
CASES = [case for part in PARTS for case in part()]
