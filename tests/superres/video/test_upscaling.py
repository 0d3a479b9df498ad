"""Videos from file to file, judged by FFmpeg."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import superres
from superres import Upscaler
from superres.errors import BadOption
from superres.image.size_expression import SizeExpression
from superres.video.settings import VideoSettings
from superres.video.upscaling import Part, RunSettings, VideoProgress, VideoReport, upscale_video
from tests.superres.video.clips import (
    count_streams,
    describe,
    list_packets,
    make_clip,
    make_rich_clip,
    measure_seconds,
    read_frames,
    run_ffmpeg,
)

FRAME = 1 / 24


def enlarge(
    source: Path, target: Path, upscaler: Upscaler, part: Part | None = None, **options: object
) -> VideoReport:
    """Upscale a clip."""
    settings = VideoSettings(**options)
    return upscale_video(source, target, [upscaler], settings, RunSettings(part=part))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_times_sound_subtitles_and_chapters_are_kept(
    tmp_path: Path, upscaler: Upscaler, ending: str
) -> None:
    source = make_rich_clip(tmp_path / f"in.{ending}")
    target = tmp_path / f"out.{ending}"
    report = enlarge(source, target, upscaler, segment_frames=16)
    assert report.joined and not report.dropped and not report.notes
    given, made = list_packets(source, "v:0"), list_packets(target, "v:0")
    assert report.frames == len(made) == len(given) == 48
    assert [packet.pts for packet in made] == [packet.pts for packet in given]
    assert count_streams(target) == count_streams(source)
    # Not a bit of the sound is another.
    assert [p.crc for p in list_packets(target, "a:0")] == [
        p.crc for p in list_packets(source, "a:0")
    ]
    assert run_ffmpeg("-i", target, "-map", "0:s", "-f", "srt", "-") == run_ffmpeg(
        "-i", source, "-map", "0:s", "-f", "srt", "-"
    )
    tags = run_ffmpeg("-i", target, "-f", "ffmetadata", "-").decode()
    assert tags.count("[CHAPTER]") == 2 and "title=One" in tags and "title=A clip" in tags
    assert ("(deu)" in describe(target)) == ("(deu)" in describe(source))
    assert abs(measure_seconds(target) - measure_seconds(source)) < FRAME
    assert not target.with_name(f"{target.name}.superres").exists()


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_what_is_turned_to_be_shown_is_upright(
    tmp_path: Path, upscaler: Upscaler, rotation: int
) -> None:
    source = make_rich_clip(tmp_path / "in.mp4", rotation)
    target = tmp_path / "out.mkv"
    enlarge(source, target, upscaler, codec="ffv1", duration=Fraction(1, 2))
    width, height = (64, 96) if rotation % 180 else (96, 64)
    given = read_frames(source, width, height)  # FFmpeg turns them
    made = read_frames(target, 3 * width, 3 * height)
    shrunk = made.reshape(len(made), height, 3, width, 3, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - given[: len(made)]).mean() < 6
    assert "rotation" not in describe(target)


def test_lossless_frames_are_those_of_the_image_path(tmp_path: Path, upscaler: Upscaler) -> None:
    source = make_clip(tmp_path / "in.mkv", "-c:v", "ffv1", "-pix_fmt", "bgr0", size="48x40")
    target = tmp_path / "out.mkv"
    enlarge(source, target, upscaler, codec="ffv1")
    given, made = read_frames(source, 48, 40), read_frames(target, 144, 120)
    assert len(given) == len(made) == 24
    for before, after in zip(given, made, strict=True):
        np.testing.assert_array_equal(superres.upscale(before, upscaler), after)


KILLED = """
import os, sys
from pathlib import Path
import superres
from superres.video.settings import VideoSettings
from superres.video.upscaling import upscale_video

def kill(progress):
    if progress.done >= 0.6 * progress.total:
        os._exit(9)  # nothing is closed, nothing is cleared away

source, target = map(Path, sys.argv[1:])
upscale_video(source, target, [superres.load("bicubic_pp.x3", device="cpu")],
              VideoSettings(segment_frames=8, stabilise=float({stabilise})), progress=kill)
"""


@pytest.mark.parametrize("stabilise", [0.0, 0.5])
def test_a_run_that_was_killed_goes_on_to_the_same_file(
    tmp_path: Path, upscaler: Upscaler, stabilise: float
) -> None:
    source = make_rich_clip(tmp_path / "in.mp4")
    killed, whole = tmp_path / "killed.mp4", tmp_path / "whole.mp4"
    script = KILLED.replace("{stabilise}", str(stabilise))
    done = subprocess.run([sys.executable, "-c", script, str(source), str(killed)], check=False)
    assert done.returncode == 9 and not killed.exists()
    options = {"segment_frames": 8, "stabilise": stabilise}
    report = enlarge(source, killed, upscaler, **options)
    assert report.resumed == 24  # of 29 that were made, those of finished segments
    enlarge(source, whole, upscaler, **options)
    assert killed.read_bytes() == whole.read_bytes()


def test_parts_of_several_runs_join_to_the_same_file(tmp_path: Path, upscaler: Upscaler) -> None:
    source = make_rich_clip(tmp_path / "in.mkv")
    target, whole = tmp_path / "parts.mkv", tmp_path / "whole.mkv"
    for number in (2, 1):
        report = enlarge(source, target, upscaler, Part(number, 2), segment_frames=8)
        assert not report.joined and not target.exists()
    assert enlarge(source, target, upscaler, segment_frames=8).resumed == 48
    enlarge(source, whole, upscaler, segment_frames=8)
    assert target.read_bytes() == whole.read_bytes()


def test_parts_of_another_job_are_not_mixed_in(tmp_path: Path, upscaler: Upscaler) -> None:
    source, target = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    enlarge(source, target, upscaler, Part(1, 2), segment_frames=8)
    with pytest.raises(BadOption, match="the same crf, options as when it was begun") as caught:
        enlarge(source, target, upscaler, segment_frames=8, crf=30)
    assert caught.value.option == "OUTPUT"
    settings = VideoSettings(segment_frames=8, crf=30)
    report = upscale_video(source, target, [upscaler], settings, RunSettings(restart=True))
    assert report.joined and not report.resumed


def test_equal_frames_are_computed_once(tmp_path: Path, upscaler: Upscaler) -> None:
    source = tmp_path / "in.mkv"
    picture = "testsrc2=s=48x32:r=4:d=2,fps=24"  # each picture six times
    run_ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "ffv1", source)
    report = enlarge(source, tmp_path / "out.mkv", upscaler, codec="ffv1")
    assert (report.frames, report.reused) == (48, 40)
    made = read_frames(tmp_path / "out.mkv", 144, 96)
    assert len(np.unique(made.reshape(48, -1), axis=0)) == 8


def test_more_than_8_bits_and_high_dynamic_range_are_kept(
    tmp_path: Path, upscaler: Upscaler
) -> None:
    hdr = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
    options = ("-vf", f"format=yuv420p10le,{hdr}", "-c:v", "ffv1")
    source = make_clip(tmp_path / "in.mkv", *options, size="64x48", seconds=0.25)
    target = tmp_path / "out.mp4"
    report = enlarge(source, target, upscaler)
    assert (report.codec, report.pixel_format) == ("hevc", "yuv420p10le")
    told = describe(target)
    assert "hvc1" in told or "hev1" in told
    assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in told


@pytest.mark.parametrize(
    ("tags", "written"),
    [
        ("", "smpte170m"),  # what players assume of so few pixels, but not of the larger output
        ("setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709,", "bt709"),
        ("scale=out_range=full,setparams=range=full,", "pc"),
    ],
)
def test_flat_colours_stay_what_they_are(
    tmp_path: Path, upscaler: Upscaler, tags: str, written: str
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    for colour in ("0xC03020", "0x20A060", "0x3040D0", "0x808080", "0xF0F0F0"):
        picture = f"color={colour}:s=48x32:r=4:d=0.5"
        run_ffmpeg("-f", "lavfi", "-i", picture, "-vf", f"{tags}format=yuv420p", source)
        enlarge(source, target, upscaler, crf=1.0)
        before = read_frames(source, 48, 32)[0, 16, 24].astype(int)
        after = read_frames(target, 144, 96)[0, 48, 72].astype(int)
        assert np.abs(before - after).max() <= 2, colour
        assert written in describe(target)
        target.unlink()


def test_sides_are_even_and_pixels_keep_their_shape(tmp_path: Path, upscaler: Upscaler) -> None:
    options = ("-vf", "scale=35:27,setsar=4/3", "-c:v", "libx264", "-pix_fmt", "yuv444p")
    source = make_clip(tmp_path / "in.mkv", *options, size="48x48", seconds=0.25)
    report = enlarge(source, tmp_path / "444.mkv", upscaler)
    assert tuple(report.output_size) == (105, 81) and "SAR 4:3" in describe(tmp_path / "444.mkv")
    report = enlarge(source, tmp_path / "420.mp4", upscaler, codec="av1")
    assert tuple(report.output_size) == (106, 82)
    assert "colour is stored at half the resolution" in report.notes
    scale = SizeExpression.parse("70:80")
    report = enlarge(source, tmp_path / "scaled.mkv", upscaler, scale=scale)
    told = describe(tmp_path / "scaled.mkv")
    assert "70x80" in told and "SAR 160:81" in told  # 4/3 · (80/27) / (70/35)


def test_a_part_of_the_time_begins_at_zero(tmp_path: Path, upscaler: Upscaler) -> None:
    source, target = make_rich_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    report = enlarge(source, target, upscaler, start=Fraction(1), duration=Fraction(1, 2))
    given = [p.pts - 1 for p in list_packets(source, "v:0") if 1 <= p.pts < Fraction(3, 2)]
    assert [packet.pts for packet in list_packets(target, "v:0")] == given
    assert report.frames == len(given) == 12
    assert abs(measure_seconds(target) - 0.5) < 2 * FRAME
    subtitles = run_ffmpeg("-i", target, "-map", "0:s", "-f", "srt", "-").decode()
    assert "World" in subtitles and "Hello" not in subtitles and "00:00:00,100" in subtitles


def test_streams_change_only_where_they_must(tmp_path: Path, upscaler: Upscaler) -> None:
    plain = make_rich_clip(tmp_path / "plain.mkv")
    source = tmp_path / "in.mkv"
    attached = ("-attach", tmp_path / "chapters.txt", "-metadata:s:t", "mimetype=text/plain")
    run_ffmpeg("-i", plain, "-map", "0", "-c", "copy", *attached, source)
    report = enlarge(source, tmp_path / "out.mkv", upscaler, duration=Fraction(1, 4))
    assert "Attachment" in describe(tmp_path / "out.mkv") and not report.dropped
    report = enlarge(source, tmp_path / "out.mp4", upscaler)
    assert count_streams(tmp_path / "out.mp4")[:3] == [
        *("Video: h264", "Audio: aac", "Subtitle: mov_text")
    ]
    assert len(report.dropped) == 1 and "attachment" in report.dropped[0]
    assert report.notes == ("stream 2, subtitle srt: converted to mov_text",)
    with pytest.raises(BadOption, match=r"--audio .copy.: expected opus or none"):
        enlarge(source, tmp_path / "out.webm", upscaler)
    report = enlarge(source, tmp_path / "out.webm", upscaler, audio="opus")
    assert count_streams(tmp_path / "out.webm")[:2] == ["Video: vp9", "Audio: opus"]
    sound = list_packets(tmp_path / "out.webm", "a:0")
    assert abs(sum(float(packet.duration) for packet in sound) - 2) < 0.05


def test_interlaced_frames_are_deinterlaced_and_said(tmp_path: Path, upscaler: Upscaler) -> None:
    options = ("-vf", "tinterlace=4,fieldorder=tff", "-c:v", "libx264", "-flags", "+ilme+ildct")
    source = make_clip(tmp_path / "in.mkv", *options)
    report = enlarge(source, tmp_path / "out.mkv", upscaler)
    assert report.frames == len(list_packets(source, "v:0")) and "deinterlaced" in report.notes
    report = enlarge(source, tmp_path / "left.mkv", upscaler, deinterlace=False)
    assert report.notes == (f"{report.frames} frames are interlaced and left so",)


def test_progress_names_every_frame(tmp_path: Path, upscaler: Upscaler) -> None:
    source, seen = make_clip(tmp_path / "in.mp4"), list[VideoProgress]()
    upscale_video(source, tmp_path / "out.mp4", [upscaler], VideoSettings(), progress=seen.append)
    assert [progress.done for progress in seen] == list(range(1, 25))
    assert {progress.total for progress in seen} == {24}
    newest = seen[-1].newest
    assert newest is not None and tuple(newest.size) == (288, 192)


def test_the_python_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "video.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    make_clip(tmp_path / "in.mp4", seconds=0.25)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/video.md", "exec"), {})
    assert capsys.readouterr().out == "6 384x256 0\n"
    assert "Video: h264" in describe(tmp_path / "out.mp4")
