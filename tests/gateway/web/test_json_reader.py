"""JSON within limits: Python's own parser is the judge of what it says."""

import base64
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from contract.message_limits import check_message
from contract.problem import ProblemError
from contract.wire_limits import MAX_DOCUMENTS, MAX_VALUES
from gateway.web.jina_json import request_from_json
from gateway.web.json_numbers import read_numbers
from gateway.web.json_reader import Clipping, decode_base64, parse_json

MIB = 1 << 20
LONG = "a" * 70_000
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(LONG)
    | st.sampled_from(['"', "\\", '\\"', "[", "tensor", "docs", "\\\\"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["tensor", "data"]), inner, max_size=4)
    ),
    max_leaves=25,
)


def read_all(value: Any) -> Any:
    """`value` with what every Clipping says."""
    if isinstance(value, Clipping):
        return value.read()
    if isinstance(value, dict):
        return {name: read_all(inner) for name, inner in value.items()}
    return [read_all(inner) for inner in value] if isinstance(value, list) else value


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_python_reads(value: Any, indent: int | None, is_ascii: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    assert read_all(parse_json(body)) == json.loads(body)


@given(st.text(alphabet='{}[]",:\\ 01aetnsor-.', max_size=60))
def test_it_refuses_what_python_refuses(text: str) -> None:
    body = text.encode()
    try:
        expected = json.loads(body)
    except ValueError:
        with pytest.raises((ProblemError, ValueError)):
            read_all(parse_json(body))
        return
    assert read_all(parse_json(body)) == expected


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int32, np.float32]),
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=12),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    st.sampled_from([None, 1]),
)
def test_an_array_is_read_as_numpy_reads_it(
    array: np.ndarray[Any, Any], indent: int | None
) -> None:
    text = json.dumps(array.tolist(), indent=indent).encode()
    got = read_numbers(text, 0, len(text))
    assert got.shape == array.shape
    assert np.array_equal(got, array) if array.dtype.kind != "f" else np.allclose(got, array)


@pytest.mark.parametrize("shape", [(700, 500, 3), (5_000, 100), (1_000_000,), (3, 100_000, 3)])
def test_a_large_array_is_read_piece_by_piece(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    text = json.dumps({"data": [{"tensor": array.tolist()}]}).encode()
    tracemalloc.start()
    tensor = parse_json(text)["data"][0]["tensor"].read_numbers()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tensor.dtype == np.uint8 and np.array_equal(tensor, array)
    assert peak < 2.5 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[[1],[2,3]]",
            "[[1],2]",
            "[1,[2]]",
            "[1,,2]",
            "[1 2]",
            "[[1][2]]",
            "[[1],[2]",
            "[1e999]",
        ),
        *(
            "[99999999999999999999]",
            "[[1],-[2]]",
            "[[1]2,[3]]",
            "[01]",
            "[[1,2],[3,4,5],[6]]",
            "[+1]",
        ),
        *("[1.]", "[.5]", "[[1],2[]]", "[NaN]", "[[[[[1]]]],[[[[2]]]]]"),
    ],
)
@pytest.mark.parametrize("blanks", [0, 5_000])
def test_no_array_of_equal_rows_is_refused(text: str, blanks: int) -> None:
    body = (text[0] + " " * blanks + text[1:]).encode()
    if text.startswith("[[[[[") and not blanks:
        return  # small arrays of any shape are Python's to read; Executors refuse their shape
    with pytest.raises((ValueError, ProblemError)):
        read_numbers(body, 0, len(body))


@given(st.binary(max_size=300))
def test_base64_is_decoded(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data)) == data


@pytest.mark.parametrize("text", ["QUJD=", "QQ", "Q===", "QQ==QQ==", "QU-D", "QU D", "=", "QUJD\n"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - binascii's own words
        decode_base64(text.encode())


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_large_image_costs_its_bytes_and_the_body(slash: str) -> None:
    data = bytes(range(256)) * 40_000
    text = base64.b64encode(data).decode().replace("/", slash)
    body = f'{{"data":[{{"id":"x","blob":"{text}"}}]}}'.encode()
    tracemalloc.start()
    request = request_from_json(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert request.proto_with_data.data.docs.docs[0].blob == data
    assert peak < (2 if slash == "/" else 4) * len(body)


HOSTILE = {
    "numbers in an unknown field": b'{"x":[' + b"0," * (4 * MIB) + b"0]}",
    "blanks": b"{" + b" " * (8 * MIB) + b"}",
    "digits": b'{"x":' + b"1" * (8 * MIB) + b"}",
    "quotation marks": b'{"x":"' + b'\\"' * (4 * MIB) + b'"}',
    "backslashes": b'{"x":"' + b"\\\\" * (4 * MIB) + b'"}',
    "lists": b"[" * (8 * MIB),
    "texts": b'{"x":[' + b'"",' * (2 * MIB) + b'""]}',
    "parameters": b'{"parameters":{' + b'"a":0,' * MIB + b'"a":0}}',
    "chunks": b'{"data":[{"chunks":[' + b"{}," * MIB + b"{}]}]}",
    "a tensor that is none": b'{"data":[{"tensor":[' + b"0," * (4 * MIB) + b"null]}]}",
    "Documents": b'{"data":[' + b"{}," * MIB + b"{}]}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_many_small_things_end_at_a_limit_before_they_cost_anything(name: str) -> None:
    tracemalloc.start()
    with pytest.raises(ProblemError) as caught:
        request_from_json(HOSTILE[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.problem.code == ("DOCUMENTS" if name == "Documents" else "REQUEST")
    assert peak < MIB


def code_of(payload: object) -> str:
    """The code of the refusal of `payload`."""
    with pytest.raises(ProblemError) as caught:
        request_from_json(json.dumps(payload).encode())
    return caught.value.problem.code


def test_values_and_documents_pass_up_to_their_limits() -> None:
    request_from_json(json.dumps({"parameters": {"a": [0] * (MAX_VALUES - 1)}}).encode())
    assert code_of({"parameters": {"a": [0] * MAX_VALUES}}) == "REQUEST"
    half = {"a": [0] * (MAX_VALUES // 2)}
    assert code_of({"parameters": half, "data": [{"tags": half}]}) == "REQUEST"
    request_from_json(json.dumps({"data": [{}] * MAX_DOCUMENTS}).encode())
    assert code_of({"data": [{}] * (MAX_DOCUMENTS + 1)}) == "DOCUMENTS"
    inside = [{"chunks": [{}]}] * (MAX_DOCUMENTS // 2)
    request_from_json(json.dumps({"data": inside}).encode())
    assert code_of({"data": [*inside, {}]}) == "DOCUMENTS"


def test_long_texts_reach_their_fields() -> None:
    payload = {
        "parameters": {"prompt": LONG},
        "data": [{"text": LONG, "tags": {"note": LONG, "tensor": [1, 2]}, "embedding": [1, 2.5]}],
    }
    request = request_from_json(json.dumps(payload).encode())
    document = request.docs[0]
    assert request.parameters["prompt"] == document.text == document.tags["note"] == LONG
    assert document.tags["tensor"] == [1, 2]
    assert document.embedding.tolist() == [1, 2.5]


@pytest.mark.parametrize(
    "data", [[{"chunks": 5}], [[]], 5, [{"tags": 5}], [{"tensor": [[1], [2, 3]]}]]
)
def test_what_are_no_documents_is_refused(data: object) -> None:
    assert code_of({"data": data}) == "REQUEST"


@pytest.mark.parametrize("fields", [{"weight": 1e39}, {"scores": {"a": {"value": 1e300}}}], ids=str)
def test_a_number_beyond_its_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ProblemError, match=r"data\[0\].*(finite|wrong type)|wrong type"):
        check_message(request_from_json(json.dumps({"data": [fields]}).encode()).proto_with_data)
