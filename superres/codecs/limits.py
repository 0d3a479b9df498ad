"""The largest input that is read, and the check of a size against it."""

from dataclasses import dataclass

from superres.errors import BadImage, TooLarge
from superres.geometry import Size


@dataclass(frozen=True)
class Limits:
    """The largest input: encoded bytes, pixels (width × height × frames), frames."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 50_000_000
    max_frames: int = 100


def check_size(size: Size, frames: int, limits: Limits) -> None:
    """Raise TooLarge for more frames, or for more pixels in all of them, than `limits` allow."""
    if min(size) < 1:
        raise BadImage(f"an image of {size} pixels: expected at least 1x1", code="UNDECODABLE")
    if frames > limits.max_frames:
        raise TooLarge(
            f"{frames} frames or more: at most {limits.max_frames} are read", code="FRAMES"
        )
    if size.pixels * frames > limits.max_pixels:
        times = f" × {frames} frames" if frames > 1 else ""
        raise TooLarge(
            f"an image of {size}{times} = {size.pixels * frames} pixels: at most "
            f"{limits.max_pixels} are read",
            code="PIXELS",
        )
