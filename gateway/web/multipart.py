"""multipart/form-data, read from a body that is bounded already, and never onto the disk."""

from io import BytesIO
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from contract.problem import ProblemError, make_error
from gateway.core.offload import pause

__all__ = ["MAX_PARTS", "FormPart", "parse_form"]

MAX_PARTS = 64


_PIECE_BYTES = 1 << 20


class FormPart(NamedTuple):
    """A field (`file_name` is None) or a file of a form."""

    name: str
    file_name: str | None
    data: bytes


def parse_form(body: bytes, content_type: str) -> list[FormPart]:
    """Return the parts of a form in their order. Raises ProblemError FORM where it is malformed."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _make_form_error("its content-type has no boundary")
    parts: list[FormPart] = []
    ends: list[bool] = []

    def add(part: Field | File) -> None:
        if len(parts) >= MAX_PARTS:
            raise make_error("FORM", f"the form has more than {MAX_PARTS} parts", option="body")
        parts.append(_read_part(part))

    form, memory = "multipart/form-data", {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(form, add, add, lambda: ends.append(True), boundary, config=memory)
        for at in range(0, len(body), _PIECE_BYTES):
            parser.write(body[at : at + _PIECE_BYTES])
            pause()
    except (FormParserError, UnicodeDecodeError) as error:
        raise _make_form_error("its parts cannot be told apart") from error
    if not ends:
        raise _make_form_error("it ends in the middle of a part")
    return parts


def _read_part(part: Field | File) -> FormPart:
    if part.field_name is None:
        raise _make_form_error("a part has no name")
    if isinstance(part, Field):
        return FormPart(part.field_name.decode(), None, part.value or b"")
    file_name = (part.file_name or b"").decode(errors="replace")
    held = part.file_object
    if not isinstance(held, BytesIO):  # MAX_MEMORY_FILE_SIZE keeps every file in memory
        raise TypeError(type(held))
    return FormPart(part.field_name.decode(), file_name, held.getvalue())


def _make_form_error(why: str) -> ProblemError:
    return make_error("FORM", f"the form is no multipart/form-data: {why}", option="body")
