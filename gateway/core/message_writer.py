"""Requests written with one copy of their images.

Protobuf's own writer doubles its buffer until the message fits and then copies it: a request of
64 MB takes 256 MB meanwhile. And a message that was cleared keeps its memory until it is gone.
"""

from collections.abc import Iterator
from typing import Any

from jina.proto import jina_pb2
from jina.types.request.data import DataRequest

_BYTES = 2
_DATA = 4 << 3 | _BYTES
"""The key of DataRequestProto.data; the next two of DataContentProto.docs and of each Document."""

_DOCS = 1 << 3 | _BYTES
_BLOB = 2 << 3 | _BYTES
"""The key of DocumentProto.blob."""

_LARGE_BYTES = 1 << 16


def write_request(request: DataRequest) -> bytes:
    """Return `request` serialised, and leave of it what an error answer needs: header and ids."""
    message = request.proto_with_data
    rest = jina_pb2.DataRequestProto()
    rest.header.CopyFrom(message.header)
    for document in message.data.docs.docs:
        rest.data.docs.docs.add().id = document.id
    parts = list(_list_parts(message))
    request._pb_body = rest  # noqa: SLF001 - DataRequest has no other way to let its message go
    return b"".join(parts)


def _list_parts(message: Any) -> Iterator[bytes]:
    """Yield the parts of a DataRequestProto, which loses its Documents."""
    documents = [list(_list_document_parts(doc)) for doc in message.data.docs.docs]
    message.ClearField("data")
    yield message.SerializePartialToString()
    sizes = [sum(map(len, parts)) for parts in documents]
    array = sum(1 + len(_write_varint(size)) + size for size in sizes)
    yield bytes([_DATA]) + _write_varint(1 + len(_write_varint(array)) + array)
    yield bytes([_DOCS]) + _write_varint(array)
    for size, parts in zip(sizes, documents, strict=True):
        yield bytes([_DOCS]) + _write_varint(size)
        yield from parts


def _list_document_parts(document: Any) -> Iterator[bytes]:
    """Yield the parts of a DocumentProto, its image apart where that is large."""
    blob = document.blob
    if len(blob) > _LARGE_BYTES:
        document.ClearField("blob")
        yield bytes([_BLOB]) + _write_varint(len(blob))
        yield blob
    yield document.SerializePartialToString()


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
