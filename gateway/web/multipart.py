"""multipart/form-data, read from a body that is bounded already."""

from typing import NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from gateway.core.problem import ProblemError, make_error

MAX_PARTS = 64


class FormPart(NamedTuple):
    """A field (`file_name` is None) or a file of a form."""

    name: str
    file_name: str | None
    data: bytes


def parse_form(body: bytes, content_type: str) -> list[FormPart]:
    """Return the parts of a form in their order. Raises Refusal FORM for anything malformed."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _make_form_error("its content-type has no boundary")
    collector = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.begin,
                "on_header_field": collector.header_name,
                "on_header_value": collector.header_value,
                "on_header_end": collector.header_end,
                "on_part_data": collector.data,
                "on_part_end": collector.end,
                "on_end": collector.finish,
            },
        )
        parser.write(body)
    except (FormParserError, UnicodeDecodeError) as error:
        raise _make_form_error("its parts cannot be told apart") from error
    if not collector.finished:
        raise _make_form_error("it ends in the middle of a part")
    return collector.parts


def _make_form_error(why: str) -> ProblemError:
    return make_error("FORM", f"the form is no multipart/form-data: {why}", option="body")


class _Collector:
    """Puts the pieces of a form together as the parser finds them."""

    def __init__(self) -> None:
        self.parts: list[FormPart] = []
        self.finished = False

    def begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise make_error("FORM", f"the form has more than {MAX_PARTS} parts", option="body")
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        _, words = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in words:
            raise _make_form_error("a part has no name")
        file_name = words.get(b"filename")
        self.parts.append(
            FormPart(
                words[b"name"].decode(),
                None if file_name is None else file_name.decode(errors="replace"),
                b"".join(self._pieces),
            )
        )

    def finish(self) -> None:
        self.finished = True
