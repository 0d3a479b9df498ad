"""What clients send in place of an image: a URL, a path, base64."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from contract.problem import quote
from superres.codecs.signatures import SIGNATURES
from superres.errors import BadImage

# Text in place of an image


@dataclass(frozen=True)
class TextKind:
    """Something that clients send in place of an image."""

    code: str
    description: str
    remedy: str
    matches: Callable[[str, int], bool]  # from the first line of text and the length of all


def refuse_text(data: bytes) -> None:
    """Raise BadImage where `data` is a URL, a path or base64."""
    text = _read_text(data[:4096])
    if text is None:
        return
    for mistake in _TEXT_KINDS:
        if mistake.matches(text, len(data)):
            raise BadImage(
                f"the bytes are {mistake.description} ({quote(text, 40)}), not an image: "
                f"{mistake.remedy}",
                code=mistake.code,
                option="blob",
            )


def _read_text(head: bytes) -> str | None:
    """Return `head` where it is text, or None."""
    try:
        text = head.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    return text if text.replace("\n", "").replace("\r", "").isprintable() else None


def _is_url(text: str, _length: int) -> bool:
    return bool(re.match(r"(?i)(?!file:)[a-z][a-z0-9+.-]{1,15}://|data:", text))


def _is_image_in_base64(text: str, _length: int) -> bool:
    """Return whether base64, or base64 of base64, in `text` begins like a format that is read."""
    head = text.encode()
    for _ in range(3):
        head = re.sub(rb"\s", b"", head).translate(bytes.maketrans(b"-_", b"+/"))
        try:
            head = base64.b64decode(head[: len(head) // 4 * 4], validate=True)
        except binascii.Error:
            return False
        if any(re.match(signature, head, re.DOTALL) for signature in SIGNATURES.values()):
            return True
    return False


def _is_path(text: str, length: int) -> bool:
    start = r"(?i)file:|/|\.{1,2}[/\\]|~/|[a-z]:[\\/]|\\\\"
    end = r"(?i)\.(png|jpe?g|jfif|webp|tiff?|bmp|gif|avif|heic|ico|ppm|tga)$"
    one_line = length <= 4096 and "\n" not in text
    return one_line and bool(re.match(start, text) or re.search(end, text))


def _is_base64(text: str, _length: int) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9+/_\r\n-]{16,}={0,2}", text))


# In this order: a JPEG file in base64 begins like a path, "/9j/".
_TEXT_KINDS = (
    TextKind("BLOB_IS_URL", "a URL", "send it as uri, or send the bytes of the file", _is_url),
    TextKind(
        "BLOB_IS_BASE64",
        "an image in base64",
        "decode it once more before sending",
        _is_image_in_base64,
    ),
    TextKind(
        "BLOB_IS_PATH",
        "the name of a file",
        "send the bytes of the file; the server opens no file that a request names",
        _is_path,
    ),
    TextKind("BLOB_IS_BASE64", "base64 text", "decode it before sending", _is_base64),
)
