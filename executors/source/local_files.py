"""The files behind file: uris and bare paths, in folders that the operator opened."""

import os
import re
import stat
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from executors.source.fetch_context import CONTROL, FetchContext, scheme_of

FILE = re.compile(r"\Afile:(?://(?:localhost)?)?/", re.ASCII | re.IGNORECASE)


def local(source: FetchContext) -> bytes:
    """Return the content of a regular file in an allowed folder; links are followed only inside of
    it.
    """
    path = _local_path(source)
    for folder in source.policy.folders:
        # By name first: whether a file outside exists is nobody's business.
        if path.is_relative_to(os.path.normpath(folder)):
            try:
                return content(source, folder, path)
            except (OSError, RuntimeError, ValueError):  # absent, a loop of links, outside
                continue
    raise source.refused("no such file", "a regular file in an allowed folder", code="LOCAL_PATH")


def _local_path(source: FetchContext) -> Path:
    """Return the path that the uri names, without "..", not yet resolved."""
    text = source.uri
    if scheme_of(text) == "file":
        text = unquote(FILE.sub("/", text))
    if not text.startswith("/") or text.startswith("//") or CONTROL.search(text):
        raise source.refused(
            "not an absolute path", '"/folder/file" or "file:///folder/file"', code="LOCAL_PATH"
        )
    return Path(os.path.normpath(text))


def content(source: FetchContext, folder: Path, path: Path) -> bytes:
    """Return the file's bytes. Raises OSError, ValueError or RuntimeError where it is not in
    `folder`.
    """
    root = folder.resolve(strict=True)
    *parents, name = path.resolve(strict=True).relative_to(root).parts
    file = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    # Step by step, no links: what was checked above may have become a link since.
    for part in parents:
        file = enter_folder(file, part, os.O_DIRECTORY)
    with open(name, "rb", opener=partial(enter_folder, file)) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError("not a regular file")
        data = opened.read(source.policy.max_bytes + 1)
    if len(data) > source.policy.max_bytes:
        raise source.too_large("the file is larger")
    return data


def enter_folder(folder: int, name: str, flags: int) -> int:
    """Return a descriptor of `name` in the open `folder`, which is closed. Raises OSError for a
    link.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
