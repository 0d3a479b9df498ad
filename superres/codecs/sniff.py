"""Recognise the format of a file by its first bytes, before a decoder sees it."""

import re

from contract.problem import quote
from superres.codecs.limits import Limits
from superres.codecs.not_an_image import refuse_text
from superres.codecs.signatures import REFUSED, SIGNATURES, SUPPORTED
from superres.codecs.structure import CHECKS
from superres.errors import BadImage, TooLarge


def sniff_format(data: bytes, limits: Limits) -> str:
    """Return the name of the format that `data` is in, by its content, one of SIGNATURES.

    Raises what superres.codecs.decode.decode says, as far as it can be known without Pillow.
    """
    if not data:
        raise BadImage("0 bytes: expected an image file", code="EMPTY")
    if len(data) > limits.max_bytes:
        raise TooLarge(
            f"an image file of {len(data)} bytes: at most {limits.max_bytes} are read", code="BYTES"
        )
    name = _recognize(data)
    if name in CHECKS:
        CHECKS[name](data, limits)
    return name


def _recognize(data: bytes) -> str:
    """Return the format that `data` begins like, whatever its file was called."""
    head = data[:4096]
    for name, signature in SIGNATURES.items():
        if re.match(signature, head, re.DOTALL):
            return name
    refuse_text(data)
    for name, signature in REFUSED.items():
        if re.match(signature, head, re.DOTALL):
            raise BadImage(f"{name} is not read: expected {SUPPORTED}", code="FORMAT")
    raise BadImage(
        f"{len(data)} bytes that begin with {quote(data[:8])}: no image in a known format, "
        f"expected {SUPPORTED}",
        code="UNDECODABLE",
    )
