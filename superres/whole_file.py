"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_whole", "write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and its folders; one that is there is replaced."""
    with open_whole(path) as stream:
        stream.write(data)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears, whole, when the block ends without an error; its folders are made.

    Args:
        path: Of the file; one that is there is replaced.

    Yields:
        BinaryIO: What is written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:200]}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
