"""Clips made by FFmpeg, and what FFmpeg says of others: the judge of what we write."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

BINARY = imageio_ffmpeg.get_ffmpeg_exe()
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,100 --> 00:00:01,800\nWorld\n\n"
CHAPTERS = (
    ";FFMETADATA1\ntitle=A clip\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n"
)


class PacketFacts(NamedTuple):
    """A packet as FFmpeg's framecrc muxer prints it; times in seconds."""

    pts: Fraction
    duration: Fraction
    crc: str


def run_ffmpeg(*arguments: object) -> bytes:
    """Run FFmpeg; return what it writes to standard output."""
    command = [BINARY, "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def make_clip(path: Path, *options: object, size: str = "96x64", seconds: float = 1.0) -> Path:
    """Make a clip of FFmpeg's moving test picture, encoded as `options` say."""
    picture = f"testsrc2=s={size}:r=24:d={seconds}"
    run_ffmpeg("-f", "lavfi", "-i", picture, *options, path)
    return path


def make_rich_clip(path: Path, rotation: int = 0) -> Path:
    """Make two seconds of uneven frame times with sound, subtitles, chapters and a turn."""
    (path.parent / "subtitles.srt").write_text(SUBTITLES)
    (path.parent / "chapters.txt").write_text(CHAPTERS)
    plain = path.with_name(f"plain.{path.name}")
    text = "srt" if path.suffix == ".mkv" else "mov_text"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30:d=2", "-f", "lavfi", "-i", "sine=440:d=2"),
        *("-i", path.parent / "subtitles.srt", "-i", path.parent / "chapters.txt"),
        *("-filter_complex", "[0:v]select='not(eq(mod(n,5),3))'[v]", "-fps_mode", "vfr"),
        *("-map", "[v]", "-map", "1:a", "-map", "2:s", "-map_metadata", "3", "-map_chapters", "3"),
        *("-c:v", "libx264", "-bf", "3", "-c:a", "aac", "-c:s", text),
        *("-metadata:s:a", "language=deu", plain),
    )
    run_ffmpeg("-display_rotation:v", rotation, "-i", plain, "-map", "0", "-dn", "-c", "copy", path)
    return path


def list_packets(path: Path, stream: str) -> list[PacketFacts]:
    """List the packets of a stream, e.g. "v:0", in the order they are shown."""
    told = run_ffmpeg(
        *("-copyts", "-i", path, "-map", f"0:{stream}", "-c", "copy", "-f", "framecrc", "-")
    ).decode()
    found = re.search(r"#tb 0: (\d+/\d+)", told)
    assert found
    base = Fraction(found[1])
    rows = [line.split(",") for line in told.splitlines() if not line.startswith("#")]
    return sorted(
        PacketFacts(int(row[2]) * base, int(row[3]) * base, row[5].strip()) for row in rows
    )


def read_frames(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Decode all frames of a video, upright, as (n, height, width, 3) RGB."""
    told = run_ffmpeg(
        *("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24"),
        *("-sws_flags", "accurate_rnd+full_chroma_int+full_chroma_inp+bicubic"),
        *("-f", "rawvideo", "-"),
    )
    return np.frombuffer(told, np.uint8).reshape(-1, height, width, 3)


def describe(path: Path) -> str:
    """Return what FFmpeg prints of a file's container and streams."""
    command = [BINARY, "-i", str(path)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr


def count_streams(path: Path) -> list[str]:
    """Return the kind and codec of each stream."""
    return re.findall(r"Stream #0:\d+.*?: (\w+: \w+)", describe(path))


def measure_seconds(path: Path) -> float:
    """Return how long a file plays."""
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", describe(path))
    assert found
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
