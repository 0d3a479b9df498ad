import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superres.codecs.png import deflate
from superres.codecs.png.deflate import DeflateBlock, isal_compressor, zlib_compressor

MAKERS = [
    (zlib_compressor(0),),
    (isal_compressor(1),),
    (zlib_compressor(9), isal_compressor(2)),
    (zlib_compressor(1, zlib.Z_RLE), isal_compressor(3)),
]


def pieces(*texts: bytes) -> list[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return [np.frombuffer(text, np.uint8) for text in texts]


def stream(parts: list[DeflateBlock]) -> bytes:
    blocks = b"".join(part.blocks for part in parts)
    return deflate.HEAD + blocks + deflate.tail((part.length, part.adler) for part in parts)


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_the_checksum_of_two_parts_is_that_of_both(first: bytes, second: bytes) -> None:
    made = deflate.combine_adler32(zlib.adler32(first), zlib.adler32(second), len(second))
    assert made == zlib.adler32(first + second)


def test_the_checksum_holds_for_gigabytes() -> None:
    zeros = bytes(2**20)
    adler = zlib.adler32(zeros)
    total, length = zlib.adler32(b"abc"), 5000 * len(zeros)
    low, high = total & 0xFFFF, total >> 16
    for _ in range(5000):
        total = deflate.combine_adler32(total, adler, len(zeros))
    # A zero changes nothing but the high half, by the low one.
    high = (high + low * length) % 65_521
    assert total == high << 16 | low


@pytest.mark.parametrize("makers", MAKERS)
@given(texts=st.lists(st.lists(st.binary(max_size=400), max_size=3), max_size=4))
def test_parts_become_one_stream(makers: tuple[object, ...], texts: list[list[bytes]]) -> None:
    parts = [deflate.compress_block(pieces(*group), makers) for group in texts]
    assert zlib.decompress(stream(parts)) == b"".join(b"".join(group) for group in texts)


def test_the_compressor_that_makes_least_counts() -> None:
    text = b"a word that repeats, " * 3000
    sizes = [
        len(deflate.compress_block(pieces(text), makers).blocks)
        for makers in ((zlib_compressor(0),), (zlib_compressor(9),))
    ]
    both = deflate.compress_block(pieces(text), (zlib_compressor(0), zlib_compressor(9)))
    assert len(both.blocks) == min(sizes) < sizes[0] / 100
