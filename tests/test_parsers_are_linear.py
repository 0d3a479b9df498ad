"""No parser of ours takes more than in proportion for more of the same: each is timed on 64 kB
and on 1 MB of each of its own tokens.
"""

import json
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, NamedTuple

import pytest
from PIL import Image as Pillow

from contract.problem import ProblemError
from contract.wire_limits import check_wire
from executors.source.data_uri import read_data_uri
from executors.source.fetch_context import FetchContext, scheme_of
from executors.source.policy import SourcePolicy
from executors.source.urls import parse_url
from gateway.core.request_id import choose_request_id
from gateway.web.jina_json import request_from_json
from gateway.web.json_numbers import read_numbers
from gateway.web.json_reader import decode_base64
from gateway.web.multipart import parse_form
from gateway.web.options import read_options
from superres.codecs.decode import decode
from superres.codecs.exif_xmp import clean_exif, clean_xmp, read_orientation
from superres.codecs.not_an_image import refuse_text
from superres.codecs.probe import probe
from superres.errors import SuperresError
from superres.geometry import Size
from superres.image.size_expression import SizeExpression
from superres.weights.ncnn import convert_ncnn

SMALL, LARGE = 1 << 16, 1 << 20
FLOOR_SECONDS = 1e-3
"""What is faster than this on the small text is not measured exactly."""

MOST_RATIO = 64
"""16 times the text takes 16 times as long; in a parser that begins again and again, 256 times."""

Parse = Callable[[bytes], object]
Cases = dict[str, "Case"]


class Case(NamedTuple):
    """A text of one token, between what makes it a text of its kind."""

    parse: Parse
    before: bytes
    token: bytes
    after: bytes = b""

    def text(self, size: int) -> bytes:
        """About `size` bytes of the token."""
        return self.before + self.token * (size // len(self.token)) + self.after


def image(form: str) -> bytes:
    """A small image file."""
    out = BytesIO()
    Pillow.new("RGB", (4, 4)).save(out, form)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG, JPEG, GIF, TIFF = image("PNG"), image("JPEG"), image("GIF"), image("TIFF")
WEBP, BMP, PPM, ICO, AVIF = (image(form) for form in ("WEBP", "BMP", "PPM", "ICO", "AVIF"))
IHDR, REST = PNG[:33], PNG[33:]
FILES = {
    "PPM comments": (b"P6 ", b"#"),
    "PPM comments with ends": (b"P6 ", b"#\n"),
    "PPM blanks": (b"P6", b" "),
    "PPM digits": (b"P6 ", b"1"),
    "PPM sizes": (b"P6 ", b"1 "),
    "plain PPM": (b"P3 4 4 255 ", b"1 "),
    "PBM": (b"P4 ", b"#x\r"),
    "PNG chunks": (IHDR, chunk(b"tEXt", b"a\0b")),
    "PNG compressed texts": (IHDR, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b"))),
    "PNG data chunks": (IHDR, chunk(b"IDAT", b"")),
    "PNG ends": (IHDR, chunk(b"IEND", b"")),
    "PNG zeros": (IHDR, b"\0"),
    "JPEG segments": (JPEG[:2], b"\xff\xe1\0\2"),
    "JPEG comments": (JPEG[:2], b"\xff\xfe\0\4ab"),
    "JPEG fill": (JPEG[:2], b"\xff"),
    "JPEG EXIF": (JPEG[:2], b"\xff\xe1\0\x10Exif\0\0II*\0\x08\0\0\0"),
    "JPEG profiles": (JPEG[:2], b"\xff\xe2\0\x12ICC_PROFILE\0\1\1ab"),
    "JPEG Photoshop": (JPEG[:2], b"\xff\xed\0\x1cPhotoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0"),
    "JPEG tables": (JPEG[:2], b"\xff\xdb\0\x43\0" + b"\1" * 64),
    "JPEG restarts": (JPEG[:-2], b"\xff\xd0"),
    "GIF comments": (GIF[:-1], b"\x21\xfe\1a\0"),
    "GIF blocks of one byte": (GIF[:-1] + b"\x21\xfe", b"\1a"),
    "GIF zeros": (GIF[:-1], b"\0"),
    "GIF frames": (GIF[:-1], b"\x2c" + bytes(8) + b"\0\2\1a\0"),
    "WebP chunks": (WEBP, b"ABCD\0\0\0\0"),
    "WebP XMP": (WEBP, b"XMP \2\0\0\0ab"),
    "TIFF directories": (TIFF, b"\1\0" + bytes(12) + b"\x08\0\0\0"),
    "TIFF entries": (b"II*\0\x08\0\0\0\xff\xff", struct.pack("<HHII", 256, 3, 1, 4)),
    "BMP": (BMP[:14], b"\x28\0\0\0"),
    "ICO": (b"\0\0\1\0\xff\xff", ICO[6:22]),
    "AVIF boxes": (AVIF[:32], b"\0\0\0\x08free"),
    "AVIF boxes of one": (AVIF[:32], b"\0\0\0\1free"),
}
XMP = [
    *(b" ", b"\t", b"tiff:Orientation=", b'tiff:Orientation="', b"tiff:Orientation='"),
    *(b'tiff:Orientation="1"', b' tiff:Orientation="', b"<tiff:Orientation>", b"<"),
    *(b"<tiff:Orientation></tiff:Orientation>", b"<xmp:Thumbnails>", b"</xmp:Thumbnails>"),
    *(b"<xmp:Thumbnails></xmp:Thumbnails>", b'"', b"'"),
]
TEXTS = [
    b"data:",
    b"http://a",
    b"/",
    b".",
    b"..",
    b"AAAA",
    b"\n",
    b" ",
    b"a\n",
    b".png",
    b"=",
    b"-",
]
JSONS = [
    b"[",
    b"{",
    b'"',
    b"\\",
    b'\\"',
    b",",
    b":",
    b" ",
    b"1",
    b"1,",
    b"-",
    b"1e",
    b'"a":',
    b"[]",
]
IN_JSON = {
    "values": (b'{"parameters":{"a":[', b"0,", b"0]}}"),
    "names": (b'{"parameters":{', b'"a":0,', b'"b":0}}'),
    "nested": (b'{"parameters":{"a":', b"[", b""),
    "objects": (b'{"parameters":', b'{"a":', b""),
    "a tensor": (b'{"data":[{"tensor":[', b"0,", b"0]}]}"),
    "a tensor of rows": (b'{"data":[{"tensor":[', b"[0],", b"[0]]}]}"),
    "a tensor without end": (b'{"data":[{"tensor":[', b"0,", b""),
    "a tensor that is none": (b'{"data":[{"tensor":[', b"0,", b"null]}]}"),
    "blanks in a tensor": (b'{"data":[{"tensor":[0', b" ", b"]}]}"),
    "tensors": (b'{"data":[', b'{"tensor":[0]},', b"{}]}"),
    "tensors inside each other": (b'{"data":[', b'{"tensor":[', b""),
    "texts": (b'{"data":[{"blob":"', b"QUJD", b'"}]}'),
    "escapes": (b'{"data":[{"blob":"', b"\\/", b'"}]}'),
    "quotation marks": (b'{"data":[{"blob":"', b'\\"', b'"}]}'),
    "backslashes": (b'{"data":[{"blob":"', b"\\\\", b'"}]}'),
    "Documents": (b'{"data":[', b"{},", b"{}]}"),
    "chunks": (b'{"data":[{"chunks":[', b"{},", b"{}]}]}"),
    "chunks inside each other": (b'{"data":[', b'{"chunks":[', b""),
}
NCNN = [b"PReLU a 1 1 b c 0=1\n", b"Split a 0 0\n", b"Split a 0 0 0=1", b" 0=1", b"\n", b"9", b" "]
WIRE = [b"\x0a\0", b"\x12\0", b"\x1a\0", b"\x22\0", b"\x22\2\x0a\0", b"\x22\4\x0a\2\x0a\0", b"\xff"]
FORM = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
FORMS = {
    "line ends": (FORM, b"\r\n", b"\r\n--b--\r\n"),
    "dashes": (FORM, b"-", b"\r\n--b--\r\n"),
    "nearly ends": (FORM, b"\r\n--", b"\r\n--b--\r\n"),
    "nearly boundaries": (FORM, b"\r\n--c", b"\r\n--b--\r\n"),
    "parts": (b"", FORM + b"\r\n", b"--b--\r\n"),
    "headers": (b"--b\r\n", b"a: b\r\n", b"\r\n\r\n--b--\r\n"),
    "parameters": (b"--b\r\ncontent-disposition: form-data", b"; a=b", b"\r\n\r\n\r\n--b--\r\n"),
    "a name": (
        b'--b\r\ncontent-disposition: form-data; name="',
        b"\\\\",
        b'"\r\n\r\n\r\n--b--\r\n',
    ),
    "no boundary": (b"", b"x", b""),
}
SCALES = [b"(", b")", b"1+", b"iw*", b"-", b"min(", b"1,", b"2x", b":", b" ", b"st(0,", b"1e", b"9"]
URLS = [b"a", b".", b"a.", b"1.", b"0x", b"@", b":", b"[", b"%41", b"/", b"?", b"\\", b"-", b"xn--"]


def make_context(uri: str) -> FetchContext:
    """One reading of `uri` that never looks a name up."""
    return FetchContext(uri, SourcePolicy(http=True), lambda *_: [], time.monotonic() + 60)


def parse_url_text(text: bytes) -> object:
    """Read an address as Executors do."""
    uri = "http://" + text.decode()
    scheme_of(uri)
    return parse_url(make_context(uri), uri)


def parse_data_uri(text: bytes) -> object:
    """Read an address that holds its own data."""
    return read_data_uri(make_context(text.decode()))


def parse_exif(text: bytes) -> object:
    """Read EXIF as the decoder and the encoders do."""
    return read_orientation(text), clean_exif(b"Exif\0\0" + text, Size(4, 4))


def parse_numbers(text: bytes) -> object:
    """Read an array."""
    return read_numbers(text, 0, len(text))


def parse_form_text(text: bytes) -> object:
    """Read a form."""
    return parse_form(text, "multipart/form-data; boundary=b")


def parse_scale(text: bytes) -> object:
    """Read the option `scale`."""
    return SizeExpression.parse(text.decode())


def parse_ncnn(text: bytes) -> object:
    """Read a model of ncnn that has as many layers as it says."""
    layers = sum(1 for line in text.splitlines() if line.strip())
    names = [f"body.{layer}" for layer in range(layers if b"PReLU" in text else 0)]
    return convert_ncnn(b"7767517\n%d 1\n" % layers + text, bytes(4 * layers), names)


def parse_id(text: bytes) -> object:
    """Read a request's id."""
    return choose_request_id(text.decode())


def parse_options(text: bytes) -> object:
    """Read the options of a query: a long value, a long name, many of them."""
    word = text.decode()
    with suppress(ProblemError):
        read_options("/upscale", [("scale", word)])
    with suppress(ProblemError):
        read_options("/upscale", [(word, "2")])
    return read_options("/upscale", [("scale", "2")] * len(word))


def list_tokens(name: str, parse: Parse, tokens: list[bytes], before: bytes = b"") -> Cases:
    """A case for each token."""
    return {f"{name} {token!r}": Case(parse, before, token) for token in tokens}


def list_texts(name: str, parse: Parse, texts: dict[str, tuple[bytes, ...]]) -> Cases:
    """A case for each text."""
    return {f"{name} {words}": Case(parse, *parts) for words, parts in texts.items()}


NUMBERS = {repr(t): (b"[", t, b"1]") for t in (b"[1],", b"1,", b" ", b"[", b"0 ", b"1")}
ENTRIES = [b"\0", b"\1\0\3\0\1\0\0\0\1\0\0\0", b"\x69\x87\4\0\1\0\0\0\x08\0\0\0"]
DATA = [b",", b";a=b", b"A", b"%", b";base64", b" "]
WORDS = [b"a", b".", b"-", b" ", b"\n"]
CASES = (
    list_texts("decode", decode, FILES)
    | list_texts("probe", probe, FILES)
    | list_tokens("XMP", clean_xmp, XMP, b"<x")
    | list_tokens("EXIF", parse_exif, ENTRIES, b"II*\0\x08\0\0\0\xff\xff")
    | list_tokens("EXIF of the other order", parse_exif, ENTRIES, b"MM\0*\0\0\0\x08\xff\xff")
    | list_tokens("text", refuse_text, TEXTS)
    | list_tokens("JSON", request_from_json, JSONS)
    | list_texts("JSON", request_from_json, IN_JSON)
    | list_texts("numbers", parse_numbers, NUMBERS)
    | list_tokens("base64", decode_base64, [b"A", b"=", b"-", b"\n"])
    | list_tokens("protobuf", check_wire, WIRE)
    | list_texts("form", parse_form_text, FORMS)
    | list_tokens("ncnn", parse_ncnn, NCNN)
    | list_tokens("scale", parse_scale, SCALES)
    | list_tokens("URL", parse_url_text, URLS)
    | list_tokens("URL with a path", parse_url_text, URLS, b"example.com/")
    | list_tokens("data URI", parse_data_uri, DATA, b"data:")
    | list_tokens("data URI in base64", parse_data_uri, DATA, b"data:;base64,")
    | list_tokens("request id", parse_id, WORDS)
    | list_tokens("options", parse_options, WORDS)
)
REFUSALS = (ProblemError, SuperresError, ValueError)


def seconds_for(case: Case, size: int) -> float:
    """Seconds of the processor, the least of a few tries."""
    text = case.text(size)
    taken: list[float] = []
    while not taken or (len(taken) < 3 and min(taken) < 20 * FLOOR_SECONDS):
        began = time.process_time()
        with suppress(*REFUSALS):
            case.parse(text)
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_time_grows_no_faster_than_the_text(name: str) -> None:
    small = max(seconds_for(CASES[name], SMALL), FLOOR_SECONDS)
    assert seconds_for(CASES[name], LARGE) < MOST_RATIO * small


def test_the_measure_tells_a_parser_that_begins_again_and_again() -> None:
    def begin_again(text: bytes) -> Any:
        return [text.find(b"x", at) for at in range(0, len(text), 32)]

    case = Case(begin_again, b"", b"a")
    small = max(seconds_for(case, SMALL), FLOOR_SECONDS)
    assert seconds_for(case, LARGE) > MOST_RATIO * small


def test_every_json_case_is_what_it_says() -> None:
    before, token, after = IN_JSON["a tensor of rows"]
    assert json.loads(before + token * 3 + after)["data"][0]["tensor"] == [[0]] * 4
