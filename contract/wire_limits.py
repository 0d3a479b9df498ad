"""Limits of a request while it is bytes: protobuf makes an object of every two of them.

A message of 32 MB can hold 16 million empty Documents, 8 GB once they are objects. So the bytes
are walked first, without making anything, and the walk ends at the first limit:

    check_wire      Documents with their chunks and matches, values of tags and parameters, depth,
                    finite numbers, dimensions, fields in all; and no pickled Documents

The walk follows the fields below by number; everything else it steps over by its length.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from contract.problem import ProblemError, make_error, quote

__all__ = [
    "MAX_DEPTH",
    "MAX_DOCUMENTS",
    "MAX_FIELDS",
    "MAX_VALUES",
    "MESSAGES",
    "Field",
    "check_documents",
    "check_wire",
    "make_depth_error",
    "make_number_error",
    "make_values_error",
]

MAX_DOCUMENTS = 1_000
"""With their chunks and matches; Executors set their own, lower limit."""

MAX_DEPTH = 16
"""Of objects and lists in tags and parameters; protobuf's own limit, about 30, ends in a defect."""

MAX_VALUES = 10_000
"""In all tags and parameters of a request: making objects of them takes about 25 ms."""

MAX_FIELDS = 50_000
"""Of a message and of those inside it: walking them takes about 50 ms."""

_MAX_PACKED_BYTES = 320
"""Of one packed list: 32 dimensions, 80 numbers of a location."""

Kind = Literal["double", "float", "packed", "pickle"]


class Field(NamedTuple):
    """A field that the walk looks into: its name, and its kind or the message that it holds."""

    name: str
    kind: Kind | None = None
    message: str | None = None


_STRUCT = "Struct"

MESSAGES: Mapping[str, Mapping[int, Field]] = {
    "DataRequestListProto": {1: Field("requests", message="DataRequestProto")},
    "DataRequestProto": {
        1: Field("header", message="HeaderProto"),
        2: Field("parameters", message=_STRUCT),
        3: Field("routes", message="RouteProto"),
        4: Field("data", message="DataContentProto"),
    },
    "HeaderProto": {2: Field("status", message="StatusProto")},
    "RouteProto": {
        2: Field("start_time", message="Timestamp"),
        3: Field("end_time", message="Timestamp"),
        4: Field("status", message="StatusProto"),
    },
    "Timestamp": {},
    "StatusProto": {3: Field("exception", message="ExceptionProto")},
    "ExceptionProto": {},
    "DataContentProto": {
        1: Field("docs", message="DocumentArrayProto"),
        2: Field("docs_bytes", "pickle"),
    },
    "DocumentArrayProto": {1: Field("docs", message="DocumentProto")},
    "DocumentProto": {
        3: Field("tensor", message="NdArrayProto"),
        8: Field("weight", "float"),
        12: Field("offset", "float"),
        13: Field("location", "float"),
        14: Field("chunks", message="DocumentProto"),
        15: Field("matches", message="DocumentProto"),
        16: Field("embedding", message="NdArrayProto"),
        17: Field("tags", message=_STRUCT),
        18: Field("scores", message="ScoresEntry"),
        19: Field("evaluations", message="EvaluationsEntry"),
        20: Field("_metadata", message=_STRUCT),
    },
    "ScoresEntry": {2: Field("value", message="NamedScoreProto")},
    "EvaluationsEntry": {2: Field("value", message="NamedScoreProto")},
    "NamedScoreProto": {1: Field("value", "float")},
    "NdArrayProto": {
        1: Field("dense", message="DenseNdArrayProto"),
        2: Field("sparse", message="SparseNdArrayProto"),
        4: Field("parameters", message=_STRUCT),
    },
    "DenseNdArrayProto": {2: Field("shape", "packed")},
    "SparseNdArrayProto": {
        1: Field("indices", message="DenseNdArrayProto"),
        2: Field("values", message="DenseNdArrayProto"),
        3: Field("shape", "packed"),
    },
    _STRUCT: {1: Field("fields", message="FieldsEntry")},
    "FieldsEntry": {2: Field("value", message="Value")},
    "Value": {
        2: Field("number_value", "double"),
        5: Field("struct_value", message=_STRUCT),
        6: Field("list_value", message="ListValue"),
    },
    "ListValue": {1: Field("values", message="Value")},
}
"""The fields that can hold many things or a number, by message and number."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_NESTING = frozenset({_STRUCT, "ListValue"})


def check_documents(count: int) -> None:
    """Raise ProblemError DOCUMENTS for a request with too many Documents to even look at them."""
    if count > MAX_DOCUMENTS:
        allowed = f"at most {MAX_DOCUMENTS}"
        message = f"{count} Documents in one request, or more: expected {allowed}"
        raise make_error("DOCUMENTS", message, option="data", allowed=allowed)


def make_values_error(where: str, option: str | None = None) -> ProblemError:
    """Return the error for more than MAX_VALUES values in tags and parameters."""
    allowed = f"at most {MAX_VALUES} values"
    message = f"{where}: too large, expected {allowed}"
    return make_error("REQUEST", message, option=option and option[:40], allowed=allowed)


def make_depth_error(where: str, option: str | None = None) -> ProblemError:
    """Return the error for objects and lists inside each other, deeper than MAX_DEPTH."""
    allowed = f"at most {MAX_DEPTH} levels"
    message = f"{where}: too deep, expected {allowed}"
    return make_error("REQUEST", message, option=option and option[:40], allowed=allowed)


def make_number_error(where: str, number: float, option: str) -> ProblemError:
    """Return the error for a number that JSON does not have."""
    allowed = "a finite number"
    message = f"{where} {number}: expected {allowed}"
    return make_error("REQUEST", message, option=option[:40], allowed=allowed)


@dataclass(slots=True)
class _Frame:
    """A message that the walk is inside of: where its bytes end, and how it is called."""

    end: int
    message: str
    name: str
    level: int
    count: int = 0
    key: slice | None = None


class _Walk:
    """One walk through the bytes of a message."""

    def __init__(self, data: bytes, root: str) -> None:
        self.data = data
        self.at = 0
        self.frames = [_Frame(len(data), root, "", 0)]
        self.fields = self.documents = self.values = 0

    def run(self) -> None:
        """Walk to the end, or raise ProblemError at the first limit."""
        while self.frames:
            inside = self._walk_fields(self.frames[-1])
            if inside is None:
                self.frames.pop()
            else:
                self.frames.append(inside)

    def _walk_fields(self, frame: _Frame) -> _Frame | None:
        """Walk on in `frame`; return the next message inside it, or None at its end."""
        data, fields, end = self.data, MESSAGES[frame.message], frame.end
        while self.at < end:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise self._make_fields_error()
            key = data[self.at]
            if key < 128:  # nearly every key is one byte
                self.at += 1
            else:
                key = self._read_varint(end)
            field = fields.get(key >> 3)
            if key & 7 != _BYTES:
                self._skip_number(key & 7, field, end)
                continue
            stop = self._read_length(end)
            if field is not None and field.message is not None:
                inside = self._enter(frame, field.name, field.message, stop)
                if stop > self.at:
                    return inside
            self._note_bytes(frame, field, stop)
            self.at = stop
        return None

    def _note_bytes(self, frame: _Frame, field: Field | None, stop: int) -> None:
        if field is not None:
            self._check_packed(field, stop)
        elif frame.message == "FieldsEntry":
            frame.key = slice(self.at, stop)

    def _enter(self, frame: _Frame, name: str, message: str, stop: int) -> _Frame:
        """Return the frame of a message inside `frame`, counted."""
        outermost = message == _STRUCT and frame.message != "Value"
        level = 1 if outermost else frame.level + (message in _NESTING)
        inside = _Frame(stop, message, name, level)
        if message == "DocumentProto":
            self.documents += 1
            check_documents(self.documents)
            inside.name, inside.level = f"{name}[{frame.count}]", frame.level + 1
            frame.count += 1
        elif message == "Value":
            self.values += 1
            if self.values > MAX_VALUES:
                raise make_values_error(self._describe(), self._first_key())
        if inside.level > MAX_DEPTH:
            raise make_depth_error(self._describe(), self._first_key())
        return inside

    def _read_varint(self, end: int) -> int:
        data, at = self.data, self.at
        value = shift = 0
        while at < end and shift < 70:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                self.at = at
                return value
            shift += 7
        raise _make_damage()

    def _read_length(self, end: int) -> int:
        stop = self._read_varint(end) + self.at
        if stop > end:
            raise _make_damage()
        return stop

    def _skip_number(self, wire_type: int, field: Field | None, end: int) -> None:
        if wire_type == _VARINT:
            self._read_varint(end)
            return
        if wire_type not in (_EIGHT_BYTES, _FOUR_BYTES):
            raise _make_damage()
        width, form = (8, "<d") if wire_type == _EIGHT_BYTES else (4, "<f")
        if self.at + width > end:
            raise _make_damage()
        if field is not None and field.kind in ("double", "float"):
            self._check_number(field, struct.unpack_from(form, self.data, self.at)[0])
        self.at += width

    def _check_packed(self, field: Field, stop: int) -> None:
        if field.kind == "pickle":
            # docarray reads docs_bytes with pickle: a client's pickle runs the client's code.
            raise make_error("REQUEST", "data.docs_bytes is not accepted: send data.docs")
        if stop - self.at > _MAX_PACKED_BYTES:
            where = f"{self._describe()}.{field.name}"
            raise make_error("REQUEST", f"{where}: too long", option=field.name)
        if field.kind == "float":
            for (number,) in struct.iter_unpack("<f", self.data[self.at : stop & ~3]):
                self._check_number(field, number)

    def _check_number(self, field: Field, number: float) -> None:
        if not math.isfinite(number):
            where, option = self._describe(), self._first_key() or field.name
            if field.kind == "float":
                where, option = f"{where}.{field.name}", field.name
            raise make_number_error(where, number, option)

    def _first_key(self) -> str | None:
        keys = [self._read_key(frame.key) for frame in self.frames if frame.key is not None]
        return keys[0] if keys else None

    def _read_key(self, place: slice) -> str:
        return self.data[place][:200].decode("utf-8", "replace")

    def _describe(self) -> str:
        """Return where the walk is, in the words of Jina's JSON: `data[0].tags."scale"`."""
        names = []
        for frame in self.frames:
            if frame.message == "FieldsEntry" and frame.key is not None:
                names.append(quote(self._read_key(frame.key), 40))
                break
            if frame.message == "DocumentProto" and frame.name.startswith("docs["):
                names.append(f"data{frame.name[4:]}")
            elif frame.message in _SHOWN or frame.name in ("parameters", "tags"):
                names.append(frame.name)
        return ".".join(names) or "the message"

    def _make_fields_error(self) -> ProblemError:
        allowed = f"at most {MAX_FIELDS} fields"
        message = f"{self._describe()}: too many fields, expected {allowed}"
        return make_error("REQUEST", message, allowed=allowed)


_SHOWN = frozenset({"DocumentProto", "NdArrayProto", "ScoresEntry", "EvaluationsEntry"})


def _make_damage() -> ProblemError:
    return make_error(
        "REQUEST", "the message is damaged: expected Jina's protobuf DataRequestProto"
    )


def check_wire(data: bytes, root: str = "DataRequestProto") -> None:
    """Refuse a message that is more than a request may be, before it is parsed.

    Args:
        data: A serialised message.
        root: Its name in MESSAGES, DataRequestProto or DataRequestListProto.

    Raises:
        ProblemError: DOCUMENTS for too many Documents; REQUEST for pickled Documents, too many
            values or fields, too deep a nesting, a number that is not finite, or damage.
    """
    _Walk(data, root).run()
