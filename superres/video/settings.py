"""What may be said of a video's upscaling."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from superres.image.size_expression import SizeExpression

__all__ = ["DEFAULT_LIMITS", "VideoLimits", "VideoSettings"]


@dataclass(frozen=True)
class VideoLimits:
    """What a video may be, at most; checked before any work on it, and once more while it is read.

    `frames` in the file, `pixels` of one frame as it comes, `output_pixels` of one made by the
    model, `seconds` of play, `bytes` of the file.
    """

    frames: int = 1_000_000
    pixels: int = 40_000_000
    output_pixels: int = 268_000_000
    seconds: float = 24 * 3600.0
    bytes: int = 2**40


DEFAULT_LIMITS = VideoLimits()


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """The options of one video; None leaves a choice to the file or the model.

    `audio` is copied as it is, encoded anew, or left out. `start` and `duration` are seconds of the
    input, `denoise` the strength of non-local means before the model (0: none), `stabilise` how
    much flicker of still areas is smoothed, 0..1.
    `max_difference` is the largest difference, in levels of 255, at which a frame counts as equal
    to the last one computed. `segment_frames` are encoded at a time; what is finished of them
    outlives a crash.
    """

    scale: SizeExpression | None = None
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    denoise: float = 0.0
    deinterlace: bool = True
    stabilise: float = 0.0
    max_difference: int = 0
    audio: Literal["copy", "aac", "opus", "flac", "none"] = "copy"
    subtitles: bool = True
    allow_damaged: bool = False
    tile: int = 0
    segment_frames: int = 96
