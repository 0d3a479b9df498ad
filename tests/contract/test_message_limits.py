"""What a request may hold: each limit, and one beyond it."""

from typing import Any

import numpy as np
import pytest
from jina.proto import jina_pb2

from contract.message_limits import check_message
from contract.problem import ProblemError
from contract.wire_limits import MAX_DEPTH, MAX_DOCUMENTS, MAX_VALUES, check_wire

NAN = float("nan")


def with_tags(tags: dict[str, Any]) -> jina_pb2.DataRequestProto:
    request = jina_pb2.DataRequestProto()
    request.data.docs.docs.add().tags.update(tags)
    return request


def with_array(array: Any) -> jina_pb2.DataRequestProto:
    request = jina_pb2.DataRequestProto()
    dense = request.data.docs.docs.add().tensor.dense
    dense.buffer, dense.dtype = array.tobytes(), array.dtype.str
    dense.shape.extend(array.shape)
    return request


def check(request: jina_pb2.DataRequestProto) -> None:
    """Refuse what gateway and Executors refuse, in their order."""
    check_wire(request.SerializeToString())
    check_message(request)


def code_of(request: jina_pb2.DataRequestProto) -> str:
    with pytest.raises(ProblemError) as caught:
        check(request)
    return caught.value.problem.code


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth > 1 else 1


def test_an_empty_request_passes() -> None:
    check(jina_pb2.DataRequestProto())


def test_documents_are_counted_with_those_inside_them() -> None:
    request = jina_pb2.DataRequestProto()
    for _ in range(MAX_DOCUMENTS // 2):
        request.data.docs.docs.add().chunks.add()
    check(request)
    request.data.docs.docs[3].chunks[0].matches.add()
    assert code_of(request) == "DOCUMENTS"


def test_the_deepest_values_pass_and_one_deeper_is_refused() -> None:
    check(with_tags({"a": nested(MAX_DEPTH)}))
    assert code_of(with_tags({"a": nested(MAX_DEPTH + 1)})) == "REQUEST"


def test_the_most_values_pass_and_one_more_is_refused() -> None:
    check(with_tags({"a": [0] * (MAX_VALUES - 1)}))
    assert code_of(with_tags({"a": [0] * MAX_VALUES})) == "REQUEST"


def test_values_are_counted_over_all_documents() -> None:
    request = with_tags({"a": [0] * (MAX_VALUES - 1)})
    request.data.docs.docs.add().tags["b"] = 1
    assert code_of(request) == "REQUEST"


@pytest.mark.parametrize("value", [NAN, float("inf"), [1, [NAN]], {"b": {"c": NAN}}], ids=str)
def test_numbers_that_json_has_not_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ProblemError, match=r'data\[0\].tags."a".*finite number') as caught:
        check(with_tags({"a": value}))
    assert caught.value.problem.option == "a"


@pytest.mark.parametrize("kind", ["|u1", "<f2", "<f4", "<f8", "|b1", "<i8", "<c8"])
@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 4), (0, 0, 3)], ids=str)
def test_an_array_passes_whole_and_no_other_way(kind: str, shape: tuple[int, ...]) -> None:
    request = with_array(np.zeros(shape, kind))
    check(request)
    tensor = request.data.docs.docs[0].tensor
    assert tensor.cls_name == "numpy"
    tensor.dense.buffer += b"\0"
    assert code_of(request) == "SHAPE"


@pytest.mark.parametrize(
    "kind", ["|O", "|S0", "|V0", "<U3", "", "i32", "f1", "i4,i4", "(2,3)u1", "nonsense", "M8[s]"]
)
def test_an_array_of_no_plain_type_is_refused(kind: str) -> None:
    request = with_array(np.zeros((2, 3), np.uint8))
    request.data.docs.docs[0].tensor.dense.dtype = kind
    assert code_of(request) == "DTYPE"


def test_a_sparse_array_is_refused() -> None:
    request = jina_pb2.DataRequestProto()
    request.data.docs.docs.add().tensor.sparse.shape.extend([9, 9])
    assert code_of(request) == "DTYPE"


@pytest.mark.parametrize("order", ["", "<", ">", "|", "="])
@pytest.mark.parametrize("kind", ["?", "b", "B", "b1", "i1", "u2", "i4", "u8", "f2", "f8", "c16"])
def test_a_short_name_of_a_type_is_as_long_as_numpy_says(order: str, kind: str) -> None:
    request = with_array(np.zeros((2, 3), np.uint8))
    dense = request.data.docs.docs[0].tensor.dense
    dense.dtype, dense.buffer = order + kind, bytes(6 * np.dtype(order + kind).itemsize)
    check(request)


@pytest.mark.parametrize("kind", ["bool", "int8", "uint16", "int64", "float16", "float64"])
def test_a_long_name_of_a_type_is_as_long_as_numpy_says(kind: str) -> None:
    request = with_array(np.zeros((2, 3), np.uint8))
    dense = request.data.docs.docs[0].tensor.dense
    dense.dtype, dense.buffer = kind, bytes(6 * np.dtype(kind).itemsize)
    check(request)
    dense.dtype = "<" + kind
    assert code_of(request) == "DTYPE"


@pytest.mark.parametrize("name", ["weight", "offset", "location", "scores", "evaluations"])
def test_a_float_that_json_has_not_is_refused_by_name(name: str) -> None:
    request = jina_pb2.DataRequestProto()
    document = request.data.docs.docs.add()
    if name == "location":
        document.location.extend([1.0, NAN])
    elif name in ("weight", "offset"):
        setattr(document, name, NAN)
    else:
        getattr(document, name)["psnr"].value = NAN
    with pytest.raises(ProblemError, match=name):
        check_wire(request.SerializeToString())
    with pytest.raises(ProblemError, match=name):
        check_message(request)
