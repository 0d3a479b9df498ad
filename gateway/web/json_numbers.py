"""Arrays of numbers in JSON, read piece by piece: 40 MB of text never become 40 MB of objects."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.core.offload import pause

Numbers = NDArray[Any]

_PIECE_BYTES = 1 << 16
"""Of text that is parsed at a time, about 1 ms: other threads get their turn between pieces."""

_SMALL_BYTES = 1 << 12
_MAX_DIMENSIONS = 4
_DIGITS = b"0123456789eE+-. \t\r\n"
_BRACKETS = bytes.maketrans(b"[]", b"  ")
_TOUCHING = re.compile(rb"[0-9.][ \t\r\n]*\[|\][ \t\r\n]*[-0-9]")
"""A number beside a bracket without a comma between."""

_UNEQUAL = "no numbers, or lists of unequal length"


def read_numbers(text: bytes | bytearray, start: int, stop: int) -> Numbers:
    """Return the array that stands as nested lists in `text` from `start` to `stop`.

    Args:
        text: JSON.
        start: Where the outermost `[` stands.
        stop: The place after its `]`.

    Returns:
        uint8 where all are whole numbers in 0..255, int64 for other whole numbers, else float32.

    Raises:
        ValueError: No JSON numbers, rows of unequal length, or more than four dimensions.
    """
    if stop - start < _SMALL_BYTES:
        return _read_small(bytes(text[start:stop]))
    shape = _measure(text, start, stop)
    pieces: list[Numbers] = []
    for part in _split(text, start, stop):
        pieces.append(_read_piece(part))
        pause()
    values = np.empty(shape, _choose_type(pieces))
    flat, at = values.reshape(-1), 0
    if sum(piece.size for piece in pieces) != flat.size:
        raise ValueError(_UNEQUAL)
    for piece in pieces:
        flat[at : at + piece.size] = piece
        at += piece.size
    return values


def _choose_type(pieces: list[Numbers]) -> np.dtype[Any]:
    kind = np.result_type(*{piece.dtype for piece in pieces})
    return np.dtype(np.float32) if kind.kind == "f" else kind


def _read_small(text: bytes) -> Numbers:
    """Return a small array; an empty one too, for whoever expects an image to tell."""
    array = np.asarray(json.loads(text))
    return _narrow(array) if array.size else array.astype(np.float32)


def _split(text: bytes | bytearray, start: int, stop: int) -> Iterator[bytes]:
    """Yield the numbers between the brackets, as texts that end before a comma."""
    at = start
    while at < stop:
        end = text.find(b",", at + _PIECE_BYTES, stop)
        end = stop if end < 0 else end
        piece = bytes(text[at:end])
        if _TOUCHING.search(piece):
            raise ValueError(_UNEQUAL)
        yield piece.translate(_BRACKETS)
        at = end + 1


def _read_piece(text: bytes) -> Numbers:
    """Return some numbers: uint8, int64, or float32."""
    if text.isspace() or not text:
        return np.empty(0, np.uint8)
    return _narrow(np.asarray(json.loads(b"[" + text + b"]")))


def _narrow(array: Numbers) -> Numbers:
    """Return numbers that Python has read as uint8, int64 or float32."""
    if array.dtype.kind == "i":
        is_level = array.min() >= 0 and array.max() <= 255
        return array.astype(np.uint8) if is_level else array
    if array.dtype.kind != "f":
        raise ValueError("a whole number beyond 64 bits")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("a number beyond 32 bits")
    return array


def _measure(text: bytes | bytearray, start: int, stop: int) -> tuple[int, ...]:
    """Return the lengths of the nested lists in `text`. Raises ValueError for unequal ones."""
    pieces = range(start, stop, _PIECE_BYTES)
    skeleton = b"".join(
        bytes(text[at : min(at + _PIECE_BYTES, stop)]).translate(None, _DIGITS) for at in pieces
    )
    head = skeleton[: _MAX_DIMENSIONS + 1]
    dimensions = len(head) - len(head.lstrip(b"["))
    if dimensions > _MAX_DIMENSIONS:
        raise ValueError(f"expected at most {_MAX_DIMENSIONS} dimensions")
    return _measure_skeleton(skeleton, dimensions)


def _measure_skeleton(skeleton: bytes, dimensions: int) -> tuple[int, ...]:
    """Return the lengths of nested lists of which only brackets and commas are left.

    Such lists are equal where the skeleton repeats its first list and comma to the end.
    """
    if dimensions == 1:
        commas = skeleton[1:-1]
        if commas.count(b",") < len(commas):
            raise ValueError(_UNEQUAL)
        return (len(commas) + 1,)
    first_end = skeleton.find(b"]" * (dimensions - 1)) + dimensions - 1
    period = first_end
    count, rest = divmod(len(skeleton) - 1, period)
    if rest or (count > 1 and skeleton[first_end] != ord(",")) or not _repeats(skeleton, period):
        raise ValueError(_UNEQUAL)
    return (count, *_measure_skeleton(skeleton[1:first_end], dimensions - 1))


def _repeats(skeleton: bytes, period: int) -> bool:
    """Return whether all but the outermost brackets are the same again after `period`."""
    stop = len(skeleton) - 1 - period
    return all(
        skeleton[at : min(at + _PIECE_BYTES, stop)]
        == skeleton[at + period : min(at + _PIECE_BYTES, stop) + period]
        for at in range(1, stop, _PIECE_BYTES)
    )
