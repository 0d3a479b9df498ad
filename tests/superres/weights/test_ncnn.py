import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superres.errors import WeightsCorrupt
from superres.weights.ncnn import convert_ncnn
from tests.superres.weights.packaging import LAYERS, make_state, write_ncnn

STATE = make_state()
STRUCTURE, NUMBERS = write_ncnn(STATE)


def test_tensors_come_back_bit_by_bit_in_their_own_precision() -> None:
    state = convert_ncnn(STRUCTURE, NUMBERS, LAYERS)
    assert state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert state[name].dtype == tensor.dtype and torch.equal(state[name], tensor)


def test_lines_may_end_as_on_windows() -> None:
    state = convert_ncnn(STRUCTURE.replace(b"\n", b"\r\n"), NUMBERS, LAYERS)
    assert torch.equal(state["body.2.weight"], STATE["body.2.weight"])


@pytest.mark.parametrize("flag", [bytes(4), (0x0002C056).to_bytes(4, "little")])
def test_numbers_may_be_fp32(flag: bytes) -> None:
    structure = b"7767517\n1 1\nConvolution c 1 1 a b 0=2 1=1 6=6\n"
    numbers = torch.arange(6, dtype=torch.float32)
    state = convert_ncnn(structure, flag + numbers.numpy().tobytes(), ["body.0"])
    assert torch.equal(state["body.0.weight"], numbers.reshape(2, 3, 1, 1))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"7767517\n", b"7767518\n", 'begins with "7767518", expected 7767517'),
        (b"6 7\n", b"7 7\n", '6 layers follow "7 7"'),
        (b"6 7\n", b"\n", "6 layers follow"),
        (b"PReLU  ", b"Softmax", 'layer "Softmax": expected one of BinaryOp, Concat, Convolution'),
        (b"PReLU  ", b"Interp ", "2 layers have numbers, expected 3"),
        (b"6=135", b"6=136", "136 numbers are no 5 filters of 3×3"),
        (b"6=135", b"6=-135", "parameter 6 is -135, expected a whole number from 1"),
        (b"6=135", b"6=0", "parameter 6 is 0"),
        (b"6=135", b"7=135", "parameter 6 is None"),
        (b"6=135", b"6=" + b"9" * 4000, "numbers are no 5 filters"),
        (b"6=135", b"6=" + b"9" * 5000, "is no layer"),
        (b"6=135", b"6=1e3", "is no layer"),
        (b"6=135", b"6=135 8=2", "int8 or dynamic"),
        (b"6=135", b"6=135 19=1", "int8 or dynamic"),
        (b"6=135", b"6=1350000000000000", "the numbers end early"),
        (b"1 1 one a", b"1 -9 one a", "is no layer"),
        (b"1 1 one a", b"1 999999999 one a", "is no layer"),
        (b"first     1 1 one a 0=5 1=3 4=1 5=1 6=135", b"first", "is no layer"),
        (b"5=1 6=135", b"6=135", "numbers of the format"),
    ],
)
def test_a_structure_that_is_wrong_says_where(before: bytes, after: bytes, words: str) -> None:
    assert before in STRUCTURE
    with pytest.raises(WeightsCorrupt, match=".*".join(words.split("…"))) as caught:
        convert_ncnn(STRUCTURE.replace(before, after, 1), NUMBERS, LAYERS)
    assert len(str(caught.value)) < 10_000


def test_a_structure_is_not_read_beyond_its_limit() -> None:
    with pytest.raises(WeightsCorrupt, match="expected at most 4194304"):
        convert_ncnn(STRUCTURE + bytes(4 << 20), NUMBERS, LAYERS)


def test_a_structure_that_is_empty_is_an_error() -> None:
    with pytest.raises(WeightsCorrupt, match="expected 7767517"):
        convert_ncnn(b"", b"", ())


@given(st.integers(0, len(NUMBERS) - 1))
def test_numbers_cut_anywhere_are_an_error(end: int) -> None:
    with pytest.raises(WeightsCorrupt):
        convert_ncnn(STRUCTURE, NUMBERS[:end], LAYERS)


def test_numbers_left_over_are_an_error() -> None:
    with pytest.raises(WeightsCorrupt, match=f"{len(NUMBERS)} bytes of numbers, there are"):
        convert_ncnn(STRUCTURE, NUMBERS + bytes(4), LAYERS)


@pytest.mark.parametrize("flag", [0x000D4B38, 1, 0xFFFFFFFF])
def test_another_number_format_is_named(flag: int) -> None:
    with pytest.raises(WeightsCorrupt, match=f"format 0x{flag:08X}: expected fp16"):
        convert_ncnn(STRUCTURE, flag.to_bytes(4, "little") + NUMBERS[4:], LAYERS)


@given(st.integers(0, 2**32))
def test_whatever_is_in_a_structure_is_read_or_refused(seed: int) -> None:
    draw = random.Random(seed)
    content = bytearray(STRUCTURE)
    for _ in range(draw.randint(1, 6)):
        content[draw.randrange(len(content))] = draw.choice(b"0123456789-= \n\0.e\xff")
    try:
        state = convert_ncnn(bytes(content), NUMBERS, LAYERS)
    except WeightsCorrupt:
        return
    assert sum(tensor.nbytes for tensor in state.values()) <= len(NUMBERS)
