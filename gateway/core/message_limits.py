"""What a request may hold: protobuf carries things that cost or break its readers behind the door.

    check_documents     how many Documents a request may have
    check_message       ids are short, numbers finite, tags shallow and few, arrays what they say

It is alike for every protocol, and comes before anything is turned into Python objects.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jina.proto import jina_pb2

from contract.problem import quote
from gateway.core.problem import make_error

MAX_DOCUMENTS = 1_000
"""With their chunks and matches; Executors set their own, lower limit."""

MAX_DEPTH = 16
"""Of objects and lists in tags and parameters; protobuf's own limit, about 30, ends in a defect."""

MAX_VALUES = 20_000
"""In all tags and parameters of a request: reading them takes about 50 ms."""

_MAX_ID_CHARACTERS = 256
"""Characters; an id stands in messages and in the log."""

DTYPE = re.compile(r"[<>|=]?[?a-zA-Z][0-9]{0,3}")
"""NumPy's names of plain types. It reads shapes and structures in longer ones."""


def check_documents(count: int) -> None:
    """Raise ProblemError DOCUMENTS for a request with too many Documents to even look at them."""
    if count > MAX_DOCUMENTS:
        allowed = f"at most {MAX_DOCUMENTS}"
        message = f"{count} Documents in one request, or more: expected {allowed}"
        raise make_error("DOCUMENTS", message, option="data", allowed=allowed)


def check_message(request: jina_pb2.DataRequestProto) -> None:
    """Raise ProblemError: DOCUMENTS, REQUEST for ids, tags and parameters, DTYPE or SHAPE for
    arrays.

    Every array becomes NumPy's, so that nobody imports a framework because a client names it.
    """
    documents = list(_documents(request.data.docs.docs))
    _check_values([ValueHolder("parameters", request.parameters)])
    _check_values([ValueHolder(f"{d.where}.tags", d.content.tags) for d in documents])
    for where, document in documents:
        _check_id(document.id, where)
        for name in ("tensor", "embedding"):
            if document.HasField(name):
                _check_array(getattr(document, name), f"{where}.{name}", name)


def _check_id(text: str, where: str) -> None:
    if len(text) > _MAX_ID_CHARACTERS or not text.isprintable():
        allowed = f"at most {_MAX_ID_CHARACTERS} printable characters"
        message = f"{where}.id {quote(text, 40)}: expected {allowed}"
        raise make_error("REQUEST", message, option="id", allowed=allowed)


class ValueHolder(NamedTuple):
    """A part of a message, and the words for where it is."""

    where: str
    content: Any


def _documents(found: Any) -> Iterator[ValueHolder]:
    """Yield the Documents with those inside them, which docarray reads as well."""
    waiting = [ValueHolder(f"data[{number}]", doc) for number, doc in enumerate(found)]
    count = 0
    while waiting:
        check_documents(count + len(waiting))
        count += 1
        where, document = waiting.pop()
        yield ValueHolder(where, document)
        for name in ("chunks", "matches"):
            inner = getattr(document, name)
            check_documents(count + len(inner))
            waiting += [ValueHolder(f"{where}.{name}[{n}]", doc) for n, doc in enumerate(inner)]


def _check_values(structs: list[ValueHolder]) -> None:
    """Raise ProblemError REQUEST for a number that JSON has not, and for too much or too deep."""
    count = 0
    for where, struct in structs:
        waiting = [(name, value, 1) for name, value in struct.fields.items()]
        while waiting:
            name, value, depth = waiting.pop()
            _check_number(value, where, name)
            inner = _list_inner(value)
            count += 1
            _check_room(count + len(waiting) + len(inner), depth + bool(inner), where, name)
            waiting += [(name, one, depth + 1) for one in inner]


def _list_inner(value: Any) -> list[Any]:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return list(value.struct_value.fields.values())
    return list(value.list_value.values) if kind == "list_value" else []


def _check_number(value: Any, where: str, name: str) -> None:
    if value.WhichOneof("kind") == "number_value" and not math.isfinite(value.number_value):
        allowed = "a finite number"
        message = f"{where}.{quote(name, 40)} {value.number_value}: expected {allowed}"
        raise make_error("REQUEST", message, option=name[:40], allowed=allowed)


def _check_room(count: int, depth: int, where: str, name: str) -> None:
    if depth > MAX_DEPTH:
        allowed = f"at most {MAX_DEPTH} levels"
    elif count > MAX_VALUES:
        allowed = f"at most {MAX_VALUES} values"
    else:
        return
    message = f"{where}.{quote(name, 40)}: too deep or too large, expected {allowed}"
    raise make_error("REQUEST", message, option=name[:40], allowed=allowed)


def _check_array(array: Any, where: str, name: str) -> None:
    """Without bytes docarray makes zeros of any size; with an object type it cannot read them."""
    dense = array.dense
    kind = np.dtype(dense.dtype) if _is_plain(dense.dtype) else None
    if array.WhichOneof("content") == "sparse" or kind is None:
        message = f"{where}: type {quote(dense.dtype, 20)}"
        allowed = "a dense array of uint8 (0..255) or floating point (0..1)"
        raise make_error("DTYPE", f"{message}: expected {allowed}", option=name, allowed=allowed)
    size = math.prod(dense.shape) * kind.itemsize
    if len(dense.buffer) != size:
        message = f"{where}: {len(dense.buffer)} bytes for shape {quote(str(list(dense.shape)))}"
        allowed = f"as many bytes as shape and type {kind} need"
        raise make_error("SHAPE", f"{message}: expected {allowed}", option=name, allowed=allowed)
    array.cls_name = "numpy"


def _is_plain(name: str) -> bool:
    try:
        kind = np.dtype(name) if DTYPE.fullmatch(name) else None
    except (TypeError, ValueError):
        return False
    return kind is not None and not kind.hasobject and kind.itemsize > 0
