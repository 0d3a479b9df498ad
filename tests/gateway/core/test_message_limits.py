"""What a request may hold: each limit, and one beyond it."""

from typing import Any

import numpy as np
import pytest
from jina.proto import jina_pb2

from gateway.core.message_limits import MAX_DEPTH, MAX_DOCUMENTS, MAX_VALUES, check_message
from gateway.core.problem import ProblemError

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


def code_of(request: jina_pb2.DataRequestProto) -> str:
    with pytest.raises(ProblemError) as caught:
        check_message(request)
    return caught.value.problem.code


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth > 1 else 1


def test_an_empty_request_passes() -> None:
    check_message(jina_pb2.DataRequestProto())


def test_documents_are_counted_with_those_inside_them() -> None:
    request = jina_pb2.DataRequestProto()
    for _ in range(MAX_DOCUMENTS // 2):
        request.data.docs.docs.add().chunks.add()
    check_message(request)
    request.data.docs.docs[3].chunks[0].matches.add()
    assert code_of(request) == "DOCUMENTS"


def test_the_deepest_values_pass_and_one_deeper_is_refused() -> None:
    check_message(with_tags({"a": nested(MAX_DEPTH)}))
    assert code_of(with_tags({"a": nested(MAX_DEPTH + 1)})) == "REQUEST"


def test_the_most_values_pass_and_one_more_is_refused() -> None:
    check_message(with_tags({"a": [0] * (MAX_VALUES - 1)}))
    assert code_of(with_tags({"a": [0] * MAX_VALUES})) == "REQUEST"


def test_values_are_counted_over_all_documents() -> None:
    request = with_tags({"a": [0] * (MAX_VALUES - 1)})
    request.data.docs.docs.add().tags["b"] = 1
    assert code_of(request) == "REQUEST"


@pytest.mark.parametrize("value", [NAN, float("inf"), [1, [NAN]], {"b": {"c": NAN}}], ids=str)
def test_numbers_that_json_has_not_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ProblemError, match=r'data\[0\].tags."a".*finite number') as caught:
        check_message(with_tags({"a": value}))
    assert caught.value.problem.option == "a"


@pytest.mark.parametrize("kind", ["|u1", "<f2", "<f4", "<f8", "|b1", "<i8", "<U3", "<c8"])
@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 4), (0, 0, 3)], ids=str)
def test_an_array_passes_whole_and_no_other_way(kind: str, shape: tuple[int, ...]) -> None:
    request = with_array(np.zeros(shape, kind))
    check_message(request)
    tensor = request.data.docs.docs[0].tensor
    assert tensor.cls_name == "numpy"
    tensor.dense.buffer += b"\0"
    assert code_of(request) == "SHAPE"


@pytest.mark.parametrize("kind", ["|O", "|S0", "|V0", "", "i4,i4", "(2,3)u1", "nonsense", "M8[s]"])
def test_an_array_of_no_plain_type_is_refused(kind: str) -> None:
    request = with_array(np.zeros((2, 3), np.uint8))
    request.data.docs.docs[0].tensor.dense.dtype = kind
    assert code_of(request) == "DTYPE"


def test_a_sparse_array_is_refused() -> None:
    request = jina_pb2.DataRequestProto()
    request.data.docs.docs.add().tensor.sparse.shape.extend([9, 9])
    assert code_of(request) == "DTYPE"
