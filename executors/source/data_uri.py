"""The bytes inside a data: uri."""

import base64
import binascii
import string
from urllib.parse import unquote_to_bytes

from executors.source.fetch_context import FetchContext

_MAX_MEDIA_TYPE = 1024  # characters between "data:" and the comma
MAX_ESCAPES = 2**20  # "%41" costs about 1 µs each: more of them are a burden, not an image
BASE64 = bytes.maketrans(b"-_", b"+/")


def read_data_uri(source: FetchContext) -> bytes:
    """Return the bytes inside a data: uri, of any media type; base64 may be broken into lines, use
    the URL-safe alphabet or lack its padding, as browsers accept it.
    """
    head, comma, payload = source.uri[len("data:") :].partition(",")
    if not comma or len(head) > _MAX_MEDIA_TYPE or not payload.isascii():
        raise source.refused("no data", '"data:<type>;base64,<data>" in ASCII', code="SYNTAX")
    if payload.count("%") > MAX_ESCAPES:
        raise source.refused(
            "too many percent escapes", f"at most {MAX_ESCAPES}; base64 needs none", code="LENGTH"
        )
    octets = unquote_to_bytes(payload) if "%" in payload else payload.encode()
    if head.replace(" ", "").lower().endswith(";base64"):
        return _from_base64(source, octets.translate(BASE64, string.whitespace.encode()))
    if len(octets) > source.policy.max_bytes:
        raise source.too_large(f"{len(octets)} bytes")
    return octets


def _from_base64(source: FetchContext, text: bytes) -> bytes:
    """Return the bytes that `text` encodes, their number checked before they are made."""
    digits = text.rstrip(b"=")
    size = len(digits) * 3 // 4
    if size > source.policy.max_bytes:
        raise source.too_large(f"{size} bytes")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error as error:
        raise source.refused(
            "not base64", "base64 after the comma, or no ;base64 before it", code="SYNTAX"
        ) from error
