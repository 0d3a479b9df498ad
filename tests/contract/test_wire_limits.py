"""Requests walked as bytes: protobuf's own description of the messages is the judge."""

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from jina.proto import jina_pb2

from contract.problem import ProblemError
from contract.wire_limits import MAX_DOCUMENTS, MAX_VALUES, MESSAGES, check_wire

MIB = 1 << 20
FLOATS = {FieldDescriptor.TYPE_DOUBLE: "double", FieldDescriptor.TYPE_FLOAT: "float"}


def reachable(root: Descriptor) -> dict[str, Descriptor]:
    """The messages inside `root`, by their short name."""
    found: dict[str, Descriptor] = {}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message.name not in found:
            found[message.name] = message
            waiting += [field.message_type for field in message.fields if field.message_type]
    return found


REACHABLE = reachable(jina_pb2.DataRequestListProto.DESCRIPTOR)


def kind_of(field: FieldDescriptor) -> str | None:
    """What the walk must know of a field that holds no message."""
    if field.name == "docs_bytes":
        return "pickle"
    if field.type in FLOATS:
        return FLOATS[field.type]
    text = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    many = field.label == FieldDescriptor.LABEL_REPEATED and field.type not in text
    return "packed" if many else None


def test_the_walk_knows_every_message_that_a_request_can_hold() -> None:
    assert MESSAGES.keys() == REACHABLE.keys()


@pytest.mark.parametrize("name", REACHABLE)
def test_the_walk_knows_every_field_that_can_hold_many_things_or_a_float(name: str) -> None:
    expected = {}
    for field in REACHABLE[name].fields:
        inner = field.message_type.name if field.message_type else None
        kind = None if inner else kind_of(field)
        if inner or kind:
            expected[field.number] = (field.name, kind, inner)
    assert {number: tuple(field) for number, field in MESSAGES[name].items()} == expected


def code_of(data: bytes, root: str = "DataRequestProto") -> str:
    """The code of the refusal of `data`."""
    with pytest.raises(ProblemError) as caught:
        check_wire(data, root)
    return caught.value.problem.code


def inside(*numbers: int, body: bytes) -> bytes:
    """`body` inside the fields `numbers`, the innermost last."""
    for number in reversed(numbers):
        body = varint(number << 3 | 2) + varint(len(body)) + body
    return body


def varint(value: int) -> bytes:
    """`value` as protobuf writes it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


EMPTY_DOCUMENTS = b"\x0a\x00" * (16 * MIB)
HOSTILE = {
    "32 MB of empty Documents": inside(4, 1, body=EMPTY_DOCUMENTS),
    "32 MB of empty chunks": inside(4, 1, 1, body=b"\x72\x00" * (16 * MIB)),
    "32 MB of values": inside(2, 1, 2, 6, body=b"\x0a\x00" * (16 * MIB)),
    "32 MB of fields of tags": inside(4, 1, 1, 17, body=b"\x0a\x00" * (16 * MIB)),
    "32 MB of scores": inside(4, 1, 1, body=b"\x92\x01\x00" * (11 * MIB)),
    "32 MB of dimensions": inside(4, 1, 1, 3, 1, 2, body=b"\x01" * (32 * MIB)),
    "32 MB of unpacked dimensions": inside(4, 1, 1, 3, 1, body=b"\x10\x01" * (16 * MIB)),
    "32 MB of locations": inside(4, 1, 1, 13, body=bytes(32 * MIB)),
    "32 MB of routes": b"\x1a\x00" * (16 * MIB),
    "32 MB of arguments of an exception": inside(1, 2, 3, body=b"\x12\x00" * (16 * MIB)),
    "32 MB of an unknown field": b"\xf8\x07\x00" * (11 * MIB),
    "32 MB of one field set again and again": inside(4, body=b"\x0a\x00" * (16 * MIB)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_many_small_things_end_at_a_limit_before_they_cost_anything(name: str) -> None:
    data = HOSTILE[name]
    tracemalloc.start()
    try:
        assert code_of(data) in ("DOCUMENTS", "REQUEST")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize("name", HOSTILE)
def test_a_refusal_costs_no_more_than_reading_the_largest_request(name: str) -> None:
    largest = jina_pb2.DataRequestProto()
    for number in range(MAX_DOCUMENTS):
        tags = dict.fromkeys("abcdefgh", float(number))
        largest.data.docs.docs.add(id="x", mime_type="image/png").tags.update(tags)
    data = largest.SerializeToString()
    assert seconds_of(lambda: code_of(HOSTILE[name])) < 8 * seconds_of(lambda: check_wire(data))


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of the processor for `work`, the least of three."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def test_documents_and_values_pass_up_to_their_limits() -> None:
    request = jina_pb2.DataRequestProto()
    for _ in range(MAX_DOCUMENTS):
        request.data.docs.docs.add(id="x", blob=b"123", mime_type="image/png")
    request.parameters["a"] = [0.5] * (MAX_VALUES - 1)
    check_wire(request.SerializeToString())


def test_large_bytes_are_stepped_over() -> None:
    request = jina_pb2.DataRequestProto()
    request.data.docs.docs.add(blob=bytes(64 * MIB))
    check_wire(request.SerializeToString())


def test_pickled_documents_are_refused_wherever_they_stand() -> None:
    request = jina_pb2.DataRequestProto()
    request.data.docs_bytes = b"cposix\nsystem\n(S'false'\ntR."
    data = request.SerializeToString()
    assert code_of(data) == "REQUEST"
    assert code_of(data + inside(4, 1, body=b"")) == "REQUEST"  # the last of a oneof would win
    assert code_of(inside(1, body=data), "DataRequestListProto") == "REQUEST"
    empty = jina_pb2.DataRequestProto()
    empty.data.docs_bytes = b""
    assert code_of(empty.SerializeToString()) == "REQUEST"


@pytest.mark.parametrize(
    "data", [b"\x0a\x05abc", b"\x0b\x0c", b"\x09\0\0", b"\x0d\0", b"\xff" * 20, b"\x0a", b"\x0e"]
)
def test_damage_is_told(data: bytes) -> None:
    with pytest.raises(ProblemError, match="damaged"):
        check_wire(data)


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values, max_size=5), st.integers(0, 5))
def test_what_protobuf_writes_passes(tags: dict[str, Any], chunks: int) -> None:
    request = jina_pb2.DataRequestProto()
    request.parameters.update(tags)
    document = request.data.docs.docs.add()
    document.tags.update(tags)
    for _ in range(chunks):
        document.chunks.add().scores["a"].value = 1
    check_wire(request.SerializeToString())


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_problem_or_pass(data: bytes) -> None:
    with suppress(ProblemError):
        check_wire(data)
