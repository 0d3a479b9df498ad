"""How large a message is, told without writing it.

Jina asks for the size of every request and answer, for a metric, and serialises each of them for
that: a copy of all images, and the event loop waits for it.
"""

from jina.types.request.data import DataRequest


def _count_bytes(request: DataRequest) -> int:
    """Return the bytes of a serialised request."""
    if request.buffer is not None:
        return len(request.buffer)
    return int(request.proto.ByteSize())


def count_without_writing() -> None:
    """Make `DataRequest.nbytes` count in this process."""
    DataRequest.nbytes = property(_count_bytes)
