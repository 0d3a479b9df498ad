"""Requests as they come in: parsed only if they are no more than a request may be, and named."""

from typing import TypeAlias

from google.protobuf.message import DecodeError
from jina.proto import jina_pb2
from jina.types.request.data import DataRequest

from contract.problem import Problem, ProblemError, make_problem
from contract.wire_limits import check_wire
from gateway.core.request_id import choose_request_id

Incoming: TypeAlias = DataRequest | ProblemError
"""What a protocol read: a request, or why it is none."""

_HEADER_KEY = 1 << 3 | 2


def open_request(incoming: Incoming, request_id: str | None) -> tuple[DataRequest, Problem | None]:
    """Return the request, parsed and with its id, and why it goes no further, if it does not.

    What arrived as bytes is parsed only if it is no more than a request may be.
    """
    if isinstance(incoming, ProblemError):
        return _identify(DataRequest(), request_id), incoming.problem
    if incoming.is_decompressed:
        return _identify(incoming, request_id), None
    try:
        check_wire(incoming.buffer)
        return _identify(incoming, request_id), None
    except ProblemError as error:
        problem = error.problem
    except DecodeError:
        problem = make_problem("REQUEST", "the message is no Jina DataRequest")
    return _identify(_read_head(incoming.buffer), request_id), problem


def _read_head(data: bytes) -> DataRequest:
    """Return a request with the id of `data`, by which WebSocket clients pair answers, where it
    stands first as protobuf writes it; nothing else of `data` is parsed.
    """
    length = data[1] if len(data) > 1 and data[0] == _HEADER_KEY and data[1] < 128 else 0
    try:
        head = jina_pb2.DataRequestProto.FromString(data[: 2 + length] if length else b"")
    except DecodeError:
        head = jina_pb2.DataRequestProto()
    return DataRequest(head)


def _identify(request: DataRequest, request_id: str | None) -> DataRequest:
    """Return `request` with an id that may stand in logs."""
    header = request.proto_with_data.header
    header.request_id = choose_request_id(request_id, header.request_id)
    return request
