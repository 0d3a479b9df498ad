"""What a parsed request may hold, where its bytes alone do not show it.

    check_message       ids are short, numbers finite, arrays what they say

It is alike for every protocol, at the gateway and at Executors, and comes before docarray makes
Documents of the message.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from contract.problem import ProblemError, make_error, quote
from contract.wire_limits import check_documents, make_number_error

__all__ = ["check_message", "make_type_error"]

_MAX_ID_CHARACTERS = 256
"""Characters; an id stands in messages and in the log."""

_ITEM_BYTES = {"?": 1, "b": 1, "B": 1, "b1": 1} | {
    f"{kind}{size}": size
    for kind, sizes in (("i", (1, 2, 4, 8)), ("u", (1, 2, 4, 8)), ("f", (2, 4, 8)), ("c", (8, 16)))
    for size in sizes
}
"""Bytes of one number by NumPy's short name of its type."""

_ITEM_BYTES_BY_NAME = {"bool": 1} | {
    f"{word}{8 * size}": size
    for word, sizes in (("int", (1, 2, 4, 8)), ("uint", (1, 2, 4, 8)), ("float", (2, 4, 8)))
    for size in sizes
}

_NUMBERS = ("weight", "offset")


class LocatedDocument(NamedTuple):
    """A Document of a message, and the words for where it is."""

    where: str
    content: Any


def check_message(request: Any) -> None:
    """Refuse a request whose ids, numbers or arrays would break or cost their readers.

    Every array becomes NumPy's, so that nobody imports a framework because a client names it.

    Args:
        request: A DataRequestProto.

    Raises:
        ProblemError: DOCUMENTS for too many, REQUEST for ids and numbers, DTYPE or SHAPE for
            arrays.
    """
    for where, document in _iterate_documents(request.data.docs.docs):
        _check_id(document.id, where)
        _check_numbers(document, where)
        for name in ("tensor", "embedding"):
            if document.HasField(name):
                _check_array(getattr(document, name), f"{where}.{name}", name)


def _iterate_documents(found: Any) -> Iterator[LocatedDocument]:
    """Yield the Documents with those inside them, which docarray reads as well."""
    waiting = [LocatedDocument(f"data[{number}]", doc) for number, doc in enumerate(found)]
    count = 0
    while waiting:
        check_documents(count + len(waiting))
        count += 1
        where, document = waiting.pop()
        yield LocatedDocument(where, document)
        for name in ("chunks", "matches"):
            inner = getattr(document, name)
            check_documents(count + len(inner))
            waiting += [LocatedDocument(f"{where}.{name}[{n}]", d) for n, d in enumerate(inner)]


def _check_id(text: str, where: str) -> None:
    if len(text) > _MAX_ID_CHARACTERS or not text.isprintable():
        allowed = f"at most {_MAX_ID_CHARACTERS} printable characters"
        message = f"{where}.id {quote(text, 40)}: expected {allowed}"
        raise make_error("REQUEST", message, option="id", allowed=allowed)


def _check_numbers(document: Any, where: str) -> None:
    """Refuse what JSON cannot say: a number beyond a float's range becomes infinite on its way."""
    numbers = {name: getattr(document, name) for name in _NUMBERS}
    numbers |= {f"location[{n}]": value for n, value in enumerate(document.location)}
    for scores in ("scores", "evaluations"):
        numbers |= {f"{scores}[{k[:40]}]": v.value for k, v in getattr(document, scores).items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise make_number_error(f"{where}.{name}", number, name)


def _check_array(array: Any, where: str, name: str) -> None:
    """Without bytes docarray makes zeros of any size; with an object type it cannot read them."""
    dense = array.dense
    size = _item_size(dense.dtype)
    if array.WhichOneof("content") == "sparse" or size is None:
        raise make_type_error(where, dense.dtype, name)
    if len(dense.buffer) != math.prod(dense.shape) * size:
        message = f"{where}: {len(dense.buffer)} bytes for shape {quote(str(list(dense.shape)))}"
        allowed = f"as many bytes as shape and type {dense.dtype} need"
        raise make_error("SHAPE", f"{message}: expected {allowed}", option=name, allowed=allowed)
    array.cls_name = "numpy"


def make_type_error(where: str, kind: str, option: str) -> ProblemError:
    """Return the error for an array of a NumPy type `kind` that is no number's."""
    allowed = "a dense array of uint8 (0..255) or floating point (0..1)"
    message = f"{where}: type {quote(kind, 20)}: expected {allowed}"
    return make_error("DTYPE", message, option=option, allowed=allowed)


def _item_size(name: str) -> int | None:
    """Return the bytes of one number of a plain NumPy type; None for any other type.

    NumPy reads shapes, structures and references in longer names.
    """
    short = name[1:] if name[:1] in ("<", ">", "|", "=") else name
    return _ITEM_BYTES.get(short) or _ITEM_BYTES_BY_NAME.get(name)
