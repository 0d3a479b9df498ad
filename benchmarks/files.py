"""Image files of any size for measurements."""

from io import BytesIO

from PIL import Image

from benchmarks.photo import photo


def file(width: int, height: int, kind: str) -> bytes:
    """Return a photo in the file format that Pillow calls `kind`."""
    out = BytesIO()
    Image.fromarray(photo(width, height)).save(out, kind)
    return out.getvalue()
