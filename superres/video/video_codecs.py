"""The codecs that videos are written in: pixel formats, rate control, and which files hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import av
import torch
from av.video.format import VideoFormat

from superres.errors import BadOption

__all__ = ["CODECS", "CONTAINERS", "PixelNeeds", "VideoCodec", "choose_codec"]

CONTAINERS: Mapping[str, str] = MappingProxyType(
    {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
)
"""The muxer of libavformat by the ending of a file's name."""

_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)


class PixelNeeds(NamedTuple):
    """What a pixel format must hold of a source.

    `bits` per channel; `chroma` samples of colour per 4 pixels of a square of 2×2: 1 for 4:2:0, 2
    for 4:2:2, 4 for 4:4:4 and RGB; `alpha` whether there is transparency.
    """

    bits: int
    chroma: int
    alpha: bool

    @classmethod
    def of(cls, name: str) -> "PixelNeeds":
        """Return what libavutil's pixel format `name` holds."""
        pixel_format = VideoFormat(name)
        alpha = any(part.is_alpha for part in pixel_format.components)
        bits = max(part.bits for part in pixel_format.components)
        if pixel_format.has_palette:
            return cls(8, 4, alpha=True)
        chroma = pixel_format.chroma_width(2) * pixel_format.chroma_height(2)
        is_grey = len(pixel_format.components) - alpha < 3
        return cls(bits, 1 if is_grey else chroma, alpha)

    def list_losses(self, kept: "PixelNeeds") -> tuple[str, ...]:
        """Name what a format that holds `kept` loses."""
        losses = {
            f"{self.bits} bits become {kept.bits}": kept.bits < self.bits,
            "colour is stored at half the resolution": kept.chroma < self.chroma,
            "transparency is flattened onto black": self.alpha and not kept.alpha,
        }
        return tuple(text for text, lost in losses.items() if lost)


@dataclass(frozen=True, kw_only=True)
class VideoCodec:
    """How one codec is written.

    `formats` are the pixel formats used, `max_crf` and `crf` the range and default of constant
    quality (0 and None: the codec has none), `presets` from fast to slow with the option of
    libavcodec that takes them, `endings` the files that hold it.
    """

    name: str
    encoder: str
    formats: tuple[str, ...]
    endings: tuple[str, ...]
    crf: int | None = None
    max_crf: int = 0
    presets: tuple[str, ...] = ()
    preset: str = ""
    preset_option: str = "preset"
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None  # in mp4 and mov, where players ask for another than libavformat's

    def choose_format(self, needs: PixelNeeds) -> str:
        """Return the smallest pixel format that loses least of what is needed."""

        def rate(name: str) -> tuple[int, int]:
            kept = PixelNeeds.of(name)
            return len(needs.list_losses(kept)), kept.bits * kept.chroma + kept.alpha

        return min(self.formats, key=rate)

    def make_options(self, crf: float | None, preset: str | None) -> dict[str, str]:
        """Make libavcodec's options.

        Args:
            crf: Constant quality, 0 best; None for the default.
            preset: One of `presets`, None for the default.

        Returns:
            Option by name.

        Raises:
            BadOption: The codec has no such preset or quality.
        """
        if preset is not None and preset not in self.presets:
            allowed = f"one of {', '.join(self.presets)}" if self.presets else "no value"
            raise BadOption("--preset", preset, f"{allowed} with codec {self.name}")
        if crf is not None and not (self.max_crf and 0 <= crf <= self.max_crf):
            allowed = f"0..{self.max_crf}" if self.max_crf else "no value"
            raise BadOption("--crf", crf, f"{allowed} with codec {self.name}")
        made = dict(self.options)
        if self.crf is not None:
            made["crf"] = f"{self.crf if crf is None else crf:g}"
        if self.presets:
            made[self.preset_option] = preset or self.preset
        if self.encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
            # The AVX-512 code of its macroblock tree makes another file of equal frames each time.
            made["x264-params"] = "asm=AVX2"
        return made


_MP4 = (".mp4", ".m4v", ".mov", ".mkv")
CODECS: Mapping[str, VideoCodec] = MappingProxyType(
    {
        codec.name: codec
        for codec in (
            VideoCodec(
                name="h264",
                encoder="libx264",
                formats=(
                    *("yuv420p", "yuv422p", "yuv444p"),
                    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
                ),
                endings=_MP4,
                crf=18,
                max_crf=51,
                presets=_X26X_PRESETS,
                preset="medium",
            ),
            VideoCodec(
                name="hevc",
                encoder="libx265",
                formats=(
                    *("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"),
                    *("yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le"),
                ),
                endings=_MP4,
                crf=20,
                max_crf=51,
                presets=_X26X_PRESETS,
                preset="medium",
                options={"x265-params": "log-level=error"},
                tag="hvc1",
            ),
            VideoCodec(
                name="vp9",
                encoder="libvpx-vp9",
                formats=("yuv420p", "yuv422p", "yuv444p", "yuva420p"),
                endings=(".webm", ".mkv", ".mp4"),
                crf=24,
                max_crf=63,
                presets=("8", "7", "6", "5", "4", "3", "2", "1", "0"),
                preset="3",
                preset_option="cpu-used",
                options={"b": "0", "row-mt": "1", "deadline": "good"},
            ),
            VideoCodec(
                name="av1",
                encoder="libsvtav1",
                formats=("yuv420p", "yuv420p10le"),
                endings=(".mp4", ".mkv", ".webm"),
                crf=26,
                max_crf=63,
                presets=tuple(str(number) for number in range(13, -1, -1)),
                preset="8",
            ),
            VideoCodec(
                name="prores",
                encoder="prores_ks",
                formats=("yuv422p10le", "yuv444p10le", "yuva444p10le"),
                endings=(".mov", ".mkv"),
            ),
            VideoCodec(
                name="ffv1",
                encoder="ffv1",
                formats=("bgr0", "bgra", "rgb48le", "rgba64le"),
                endings=(".mkv",),
                options={"level": "3", "slices": "4", "slicecrc": "1"},
            ),
        )
    }
)
"""Codec by name, in the order of the documentation; ffv1 is lossless."""


def choose_codec(name: str | None, target: Path, needs: PixelNeeds) -> VideoCodec:
    """Choose the codec of a file.

    Args:
        name: As `--codec` names it, None for the usual one of the container and the depth.
        target: The file to be written; its ending names the container.
        needs: What the source's pixels hold.

    Returns:
        The codec.

    Raises:
        BadOption: There is no such container or codec, or one does not hold the other.
    """
    ending = target.suffix.lower()
    if ending not in CONTAINERS:
        raise BadOption("OUTPUT", target.name, f"a name that ends in {', '.join(CONTAINERS)}")
    if name is None:
        is_deep = needs.bits > 8
        name = ("av1" if is_deep else "vp9") if ending == ".webm" else "hevc" if is_deep else "h264"
    if name not in CODECS:
        raise BadOption("--codec", name, f"one of {', '.join(CODECS)}")
    codec = CODECS[name]
    if ending not in codec.endings:
        fitting = [one.name for one in CODECS.values() if ending in one.endings]
        raise BadOption("--codec", name, f"one of {', '.join(fitting)} in {ending}")
    if codec.encoder not in av.codecs_available:
        raise BadOption("--codec", name, f"another codec: this PyAV has no {codec.encoder}")
    return codec
