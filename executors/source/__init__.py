"""The bytes behind a Document's `uri`: data:, guarded http(s), and folders the operator opened.

    read            one uri -> bytes, or an error that names what would do
    SourcePolicy    what the operator allows
    public          whether an address belongs to the public internet

One module answers one question:

    guards          what a uri may reach
    addresses       which addresses belong to the public internet
    reading         what the steps of one reading share
    data_uri        what is inside a data: uri
    folders         what is behind file: uris and bare paths
    urls            what an http(s) address names
    connection      which of a host's addresses is connected to
    web             what a server answers
"""

import time

from contract.problem import quote
from executors.source.connection import resolve_host
from executors.source.data_uri import MAX_ESCAPES, read_data_uri
from executors.source.fetch_context import (
    CONTROL,
    MAX_CHARACTERS,
    FetchContext,
    Resolver,
    scheme_of,
)
from executors.source.http_fetch import fetch
from executors.source.local_files import enter_folder, local
from executors.source.policy import SourcePolicy
from executors.source.public_addresses import is_public
from executors.source.urls import DEFAULT_PORTS
from superres.errors import BadImage

__all__ = [
    "MAX_CHARACTERS",
    "MAX_ESCAPES",
    "SourcePolicy",
    "enter_folder",
    "is_public",
    "read_source",
]


def read_source(uri: str, policy: SourcePolicy, resolve: Resolver = resolve_host) -> bytes:
    """Return the bytes behind `uri`, at least one and at most `guards.max_bytes`.

    Raises BadSource (SCHEME, SYNTAX, LENGTH, ADDRESS, REDIRECTS, SOURCE_STATUS, SOURCE_TIMEOUT,
    SOURCE_UNREACHABLE, SOURCE_ENCODING, LOCAL_PATH), TooLarge (BYTES) or BadImage (EMPTY), with
    option "uri" and a message that shows the uri as it was given and never a resolved address.
    """
    data = read_by_scheme(FetchContext(uri, policy, resolve, time.monotonic() + policy.seconds))
    if not data:
        raise BadImage(f"uri {quote(uri)}: 0 bytes; expected an image", code="EMPTY", option="uri")
    return data


def read_by_scheme(source: FetchContext) -> bytes:
    """Return the bytes, by the scheme of the uri."""
    scheme = scheme_of(source.uri)
    if scheme == "data":
        return read_data_uri(source)
    if len(source.uri) > MAX_CHARACTERS:
        raise source.refused(
            f"{len(source.uri)} characters", f"at most {MAX_CHARACTERS}", code="LENGTH"
        )
    if CONTROL.search(source.uri):
        raise source.refused("a control character", "none", code="SYNTAX")
    if scheme in DEFAULT_PORTS and source.policy.http:
        return fetch(source)
    if scheme in ("", "file") and source.policy.folders:
        return local(source)
    raise source.refused("not read here", source.policy.expected(), code="SCHEME")
