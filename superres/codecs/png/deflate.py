"""Deflate streams whose parts are compressed independently, and so side by side.

Source: RFC 1950 and RFC 1951. Each part ends at a whole byte and refers to none before it.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

HEAD = b"\x78\x01"  # deflate with a window of 32 kB
_TAIL = b"\x03\x00"  # an empty last block
_ADLER = 65_521  # the largest prime below 2**16
RAW = -zlib.MAX_WBITS
MEMORY = 9  # zlib's largest table


class Compressor(Protocol):
    """What zlib and isal make."""

    def compress(self, data: Any, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


def zlib_compressor(level: int, strategy: int = zlib.Z_FILTERED) -> Callable[[], Compressor]:
    """Return a maker of zlib's compressors."""
    return lambda: zlib.compressobj(level, zlib.DEFLATED, RAW, MEMORY, strategy)


def isal_compressor(level: int) -> Callable[[], Compressor]:
    """Return a maker of isal's compressors."""
    return lambda: isal_zlib.compressobj(level, zlib.DEFLATED, RAW)


class DeflateBlock(NamedTuple):
    """A piece of a stream: its deflate blocks, and length and Adler-32 of what they hold."""

    blocks: bytes
    length: int
    adler: int


def compress_block(
    pieces: Iterable[Bytes], makers: Iterable[Callable[[], Compressor]]
) -> DeflateBlock:
    """Return `pieces` compressed by that of `makers` which makes the least of them."""
    compressors = [make() for make in makers]
    made: list[list[bytes]] = [[] for _ in compressors]
    length, adler = 0, 1
    for piece in pieces:
        length += piece.nbytes
        adler = isal_zlib.adler32(piece, adler)
        for compressor, blocks in zip(compressors, made, strict=True):
            blocks.append(compressor.compress(piece))
    for compressor, blocks in zip(compressors, made, strict=True):
        blocks.append(compressor.flush(zlib.Z_FULL_FLUSH))
    return DeflateBlock(min((b"".join(blocks) for blocks in made), key=len), length, adler)


def tail(parts: Iterable[tuple[int, int]]) -> bytes:
    """Return the end of a stream of parts, given as (length, Adler-32) in order."""
    total = 1
    for length, adler in parts:
        total = combine_adler32(total, adler, length)
    return _TAIL + total.to_bytes(4, "big")


def combine_adler32(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two parts after one another, the second of `length` bytes."""
    low1, high1 = first & 0xFFFF, first >> 16
    low2, high2 = second & 0xFFFF, second >> 16
    low = (low1 + low2 - 1) % _ADLER
    # Each of the second part's sums began at 1 instead of low1.
    high = (high1 + high2 + (low1 - 1) * length) % _ADLER
    return high << 16 | low
