"""JSON read within limits: no body costs much more than its bytes, and none holds the server up.

Python's parser makes objects of everything, 30 to 100 bytes for a number of two, and lets nobody
else work meanwhile. So a body is scanned first. What is long is cut out and read by itself, piece
by piece; what remains is short, or too much:

    parse_json      the parsed body; long texts, and arrays named tensor or embedding, as Clippings
    Clipping        reads its part of the body: as text, as base64, as an array, or as it is
"""

import binascii
import json
import math
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NoReturn

from contract.problem import make_error
from contract.wire_limits import MAX_VALUES, check_documents, make_values_error
from gateway.core.offload import pause
from gateway.web.json_numbers import Numbers, read_numbers

MAX_TOKENS = 100_000
"""Texts, brackets, braces, colons and commas of a body: scanning them takes about 50 ms."""

_LONG_BYTES = 1 << 16
_PIECE_BYTES = 1 << 18
"""Of what is read at a time, under 1 ms: other threads get their turn between pieces."""

_MAX_GAP_BYTES = 1 << 16
"""Of a number, or of the blanks between two tokens."""

_MAX_BACKSLASHES = 64
"""In a row before a quotation mark, none of which may be looked at twice."""

_ARRAYS = frozenset({b"tensor", b"embedding"})
_LISTS = frozenset({b"data", b"docs"})
_MAX_LIST_DEPTH = 3
"""Of the list of Documents: {"data": {"docs": [ … ]}}."""

_QUOTE, _OPEN_LIST, _COLON, _OPENING, _CLOSING = ord('"'), ord("["), ord(":"), b"[{", b"]}"
_TOKEN = re.compile(rb'["\[\]{},:]')
_NO_NUMBER = re.compile(rb"[^\[\]0-9eE+\-., \t\r\n]")

Body = bytes | bytearray


@dataclass(frozen=True, slots=True)
class Clipping:
    """A value of a body that is not parsed yet: a long text, or an array of numbers."""

    body: Body
    start: int
    stop: int

    @property
    def is_text(self) -> bool:
        """Whether it is a text, as opposed to an array."""
        return self.body[self.start] == ord('"')

    def read(self) -> Any:
        """Return the value as JSON has it. Raises ProblemError REQUEST for too many numbers."""
        if not self.is_text and self.body.count(b",", self.start, self.stop) > MAX_VALUES:
            raise make_values_error("an array of numbers")
        return _load(self.body[self.start : self.stop])

    def read_base64(self) -> bytes:
        """Return the bytes that a text is in base64. Raises ValueError where it is none."""
        if self.body.find(b"\\", self.start, self.stop) >= 0:  # as PHP writes "\/"
            return decode_base64(self.read().encode("ascii"))
        return decode_base64(self.body, self.start + 1, self.stop - 1)

    def read_numbers(self) -> Numbers:
        """Return the array. Raises ValueError where it is none of equal rows of numbers."""
        return read_numbers(self.body, self.start, self.stop)


def decode_base64(text: Body, start: int = 0, stop: int | None = None) -> bytes:
    """Decode standard, padded base64, piece by piece.

    Args:
        text: What holds it.
        start: Where it begins.
        stop: Where it ends; the end of `text` if None.

    Returns:
        The bytes.

    Raises:
        ValueError: Other characters, or padding that is missing or not at the end.
    """
    stop = len(text) if stop is None else stop
    padding = text.find(b"=", start, stop)
    if 0 <= padding < stop - 2:
        raise ValueError("padding before the end")
    decoded = BytesIO()
    with memoryview(text) as view:
        for at in range(start, stop, _PIECE_BYTES):
            piece = view[at : min(at + _PIECE_BYTES, stop)]
            decoded.write(binascii.a2b_base64(piece, strict_mode=True))
            pause()
    if (stop - start) % 4:
        raise ValueError("Incorrect padding")
    return decoded.getvalue()


def parse_json(body: Body) -> Any:
    """Parse JSON, but for long texts and tensors.

    Args:
        body: JSON in UTF-8.

    Returns:
        The parsed body, with Clippings of what is left to read.

    Raises:
        ProblemError: JSON where it is none, REQUEST for too many values.
    """
    clippings = list(_Scan(body).find_clippings())
    mark = secrets.token_hex(8)
    rest, at = bytearray(), 0
    for number, clipping in enumerate(clippings):
        rest += body[at : clipping.start]
        rest += f'"{mark}{number}"'.encode()
        at = clipping.stop
    short: Body = rest + body[at:] if clippings else body
    parsed = _load(short)
    names = {f"{mark}{number}": clipping for number, clipping in enumerate(clippings)}
    return _put_back(parsed, names) if names else parsed


def _load(text: Body) -> Any:
    try:
        return json.loads(text, parse_float=_read_finite, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise make_error("JSON", f"the body is not JSON: {cause}") from error


def _put_back(value: Any, clippings: dict[str, Clipping]) -> Any:
    """Return `value` with Clippings in place of their names."""
    if isinstance(value, str):
        return clippings.get(value, value)
    if isinstance(value, dict):
        return {
            _put_back_name(name, clippings): _put_back(inner, clippings)
            for name, inner in value.items()
        }
    return [_put_back(inner, clippings) for inner in value] if isinstance(value, list) else value


def _put_back_name(name: str, clippings: dict[str, Clipping]) -> str:
    if name in clippings:
        raise make_error("REQUEST", f"a name has more than {_LONG_BYTES} characters")
    return name


class _Scan:
    """One scan of a body: what it has passed so far."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.tokens = self.depth = self.documents = 0
        self.list_depth = -1
        """How deep the objects of the list of Documents lie; -1 before it."""

    def find_clippings(self) -> Iterator[Clipping]:
        """Yield what is cut out, in its order. Raises ProblemError beyond a limit."""
        body, at = self.body, 0
        name: bytes | None = None
        while (token := _find_token(body, at)) >= 0:
            at, sign = token + 1, body[token]
            self._count(sign, name)
            if sign == _QUOTE:
                at, escapes = _find_end_of_text(body, token)
                self.tokens += escapes
                name = bytes(body[token + 1 : at - 1]) if at - token < 16 else None
                if at - token > _LONG_BYTES:
                    yield Clipping(body, token, at)
            elif sign == _OPEN_LIST and name in _ARRAYS and (end := _find_array_end(body, token)):
                self.depth -= 1
                at, name = end, None
                yield Clipping(body, token, at)
            elif sign != _COLON:
                name = None

    def _count(self, sign: int, name: bytes | None) -> None:
        """Count a token, and the Documents of the outermost list."""
        self.tokens += 1
        if self.tokens > MAX_TOKENS:
            raise make_values_error("the body")
        if sign in _CLOSING:
            self.depth -= 1
            if self.depth == self.list_depth - 2:
                self.list_depth = -1
        elif sign in _OPENING:
            self.depth += 1
            if sign == _OPEN_LIST and name in _LISTS and self.depth <= _MAX_LIST_DEPTH:
                self.list_depth = self.depth + 1
            elif self.depth == self.list_depth:
                self.documents += 1
                check_documents(self.documents)


def _find_token(body: Body, at: int) -> int:
    """Return the place of the next token from `at`, -1 at the end."""
    match = _TOKEN.search(body, at, at + _MAX_GAP_BYTES)
    if match is None and at + _MAX_GAP_BYTES < len(body):
        longest = f"{_MAX_GAP_BYTES:,} characters"
        raise make_error("REQUEST", f"the body: a number or a gap of more than {longest}")
    return match.start() if match else -1


def _find_end_of_text(body: Body, start: int) -> tuple[int, int]:
    """Return where the text at `start` ends, and how many quotation marks it has escaped."""
    at, escapes = start + 1, 0
    while True:
        stop = body.find(b'"', at)
        if stop < 0:
            return len(body), escapes
        before = bytes(body[max(start + 1, stop - _MAX_BACKSLASHES) : stop])
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if backslashes == _MAX_BACKSLASHES or escapes > MAX_TOKENS:
            raise make_error("REQUEST", "the body: a text with too many backslashes")
        if backslashes % 2 == 0:
            return stop + 1, escapes
        at, escapes = stop + 1, escapes + 1


def _find_array_end(body: Body, start: int) -> int:
    """Return where the array at `start` ends; 0 where it does not hold numbers alone."""
    for at in range(start, len(body), _PIECE_BYTES):
        match = _NO_NUMBER.search(body, at, at + _PIECE_BYTES)
        if match:
            stop = body.rfind(b"]", start, match.start()) + 1
            return stop if match.group() in b'"}' else 0
    return 0


def _read_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text[:20]} is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
