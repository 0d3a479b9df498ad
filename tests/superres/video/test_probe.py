"""Files that hold no video, or too much of it."""

from pathlib import Path

import numpy as np
import pytest

from superres import Upscaler
from superres.errors import BadOption, BadVideo, SuperresError, TooLarge
from superres.video.probe import probe
from superres.video.settings import VideoLimits, VideoSettings
from superres.video.upscaling import upscale_video
from tests.superres.video.clips import make_clip, make_rich_clip, run_ffmpeg

ENCRYPTION = (
    *("-encryption_scheme", "cenc-aes-ctr"),
    *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
    *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
)


def make_wrong(kind: str, folder: Path) -> Path:
    """Make a file that is no whole video."""
    path = folder / ("in.mkv" if kind == "cut mkv" else "in.mp4")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(50_000))
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    elif kind == "list of files":
        path.write_text("ffconcat version 1.0\nfile '/etc/hostname'\n")
    elif kind == "sound":
        run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", path)
    elif kind == "encrypted":
        make_clip(path, *ENCRYPTION)
    else:
        make_rich_clip(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    return path


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("empty", "EMPTY"),
        ("noise", "UNDECODABLE"),
        ("playlist", "UNDECODABLE"),
        ("list of files", "UNDECODABLE"),
        ("sound", "FORMAT"),
        ("encrypted", "ENCRYPTED"),
        ("cut mp4", "UNDECODABLE"),  # its index is at the end
        ("cut mkv", "TRUNCATED"),
    ],
)
def test_what_is_no_whole_video_is_refused(tmp_path: Path, kind: str, code: str) -> None:
    path = make_wrong(kind, tmp_path)
    with pytest.raises(BadVideo) as caught:
        probe(path)
    assert caught.value.code == code and path.name in str(caught.value)


def test_what_there_is_of_a_damaged_file_can_be_taken(tmp_path: Path, upscaler: Upscaler) -> None:
    source, target = make_wrong("cut mkv", tmp_path), tmp_path / "out.mkv"
    settings = VideoSettings(allow_damaged=True, audio="none")
    report = upscale_video(source, target, [upscaler], settings)
    assert 0 < report.frames < 48 and target.exists()


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (VideoLimits(bytes=1000), "BYTES"),
        (VideoLimits(frames=10), "FRAMES"),
        (VideoLimits(seconds=0.5), "SECONDS"),
        (VideoLimits(pixels=6000), "PIXELS"),
    ],
)
def test_limits_hold_before_any_work(tmp_path: Path, limits: VideoLimits, code: str) -> None:
    with pytest.raises(TooLarge) as caught:
        probe(make_clip(tmp_path / "in.mp4"), limits)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("out.avi", {}, "OUTPUT out.avi: expected a name that ends in .mp4, .m4v, .mov"),
        ("out.mp4", {"codec": "divx"}, "--codec divx: expected one of h264, hevc, vp9"),
        ("out.webm", {"codec": "h264"}, "--codec h264: expected one of vp9, av1 in .webm"),
        ("out.mp4", {"crf": 99.0}, "--crf 99.0: expected 0..51 with codec h264"),
        ("out.mov", {"codec": "prores", "crf": 9.0}, "--crf 9.0: expected no value with codec"),
        ("out.mp4", {"preset": "warp"}, "--preset warp: expected one of ultrafast"),
        ("out.mp4", {"start": 9}, "--start 9.0: expected a time before the end, at 1.00 seconds"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, upscaler: Upscaler, target: str, options: dict[str, object], message: str
) -> None:
    source = make_clip(tmp_path / "in.mp4")
    with pytest.raises(SuperresError) as caught:
        upscale_video(source, tmp_path / target, [upscaler], VideoSettings(**options))
    assert isinstance(caught.value, BadOption)
    assert str(caught.value).replace('"', "").startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
