"""Requests written by hand; protobuf reads them."""

import pytest
from jina.proto import jina_pb2
from jina.types.request.data import DataRequest

from gateway.core.message_writer import write_request


@pytest.mark.parametrize("sizes", [(), (0,), (5,), (70_000,), (3_000_000, 0, 70_000), (1,) * 300])
def test_protobuf_reads_what_was_written(sizes: tuple[int, ...]) -> None:
    message = jina_pb2.DataRequestProto()
    message.header.request_id, message.header.exec_endpoint = "mine", "/upscale"
    message.parameters["scale"] = 2
    message.routes.add().executor = "first"
    for number, size in enumerate(sizes):
        document = message.data.docs.docs.add(id=f"d{number}", mime_type="image/png")
        document.blob = bytes([number % 256]) * size
        document.tags["scale"] = 2.5
    expected = jina_pb2.DataRequestProto.FromString(message.SerializeToString())
    expected.data.docs.SetInParent()
    request = DataRequest(message)
    assert jina_pb2.DataRequestProto.FromString(write_request(request)) == expected
    assert request.header.request_id == "mine"
    assert [d.id for d in request.proto_with_data.data.docs.docs] == [
        f"d{number}" for number in range(len(sizes))
    ]
