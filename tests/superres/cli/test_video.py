"""`superres video`, as it is typed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superres.cli.main import main
from tests.superres.video.clips import count_streams, make_clip, make_rich_clip, run_ffmpeg

MODEL = ("--model", "bicubic_pp.x3", "--device", "cpu")


def test_a_video_is_enlarged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = make_rich_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    preview = tmp_path / "newest.png"
    options = ("--crf", "30", "--preset", "ultrafast", "--preview", str(preview))
    assert main(["video", str(source), str(target), *MODEL, *options]) == 0
    told = capsys.readouterr()
    assert told.out == f"{target}\n"
    assert "48 frames; 96x64 to 288x192 pixels, h264 yuv420p" in told.err
    assert count_streams(target) == count_streams(source)
    with Image.open(preview) as newest:
        assert newest.size == (288, 192)
    assert main(["video", str(source), str(target), *MODEL]) == 1
    assert "exists already: --force replaces it" in capsys.readouterr().err


def test_frames_are_restored_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_clip(tmp_path / "in.mp4", seconds=0.25)
    command = ["video", str(source), str(tmp_path / "out.mkv"), *MODEL, "--codec", "ffv1"]
    assert main([*command, "--restore", "deblock,upscale", "--strength", "0.5"]) == 0
    first = (tmp_path / "out.mkv").read_bytes()
    assert main([*command, "--force"]) == 0
    assert (tmp_path / "out.mkv").read_bytes() != first
    assert main([*command, "--force", "--restore", "deblock"]) == 0
    assert "96x64 to 96x64" in capsys.readouterr().err
    assert main([*command, "--force", "--restore", "faces"]) == 2
    assert "which would flicker" in capsys.readouterr().err


def test_a_folder_is_done_and_one_failure_harms_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, made = tmp_path / "clips", tmp_path / "made"
    clips.mkdir()
    made.mkdir()
    make_clip(clips / "a.mp4", seconds=0.25)
    (clips / "b.mp4").write_bytes(b"")
    make_clip(clips / "c.mkv", seconds=0.25)
    assert main(["video", str(clips), str(made), *MODEL, "--codec", "ffv1"]) == 1
    told = capsys.readouterr()
    assert told.out == f"{made / 'c.mkv'}\n"
    assert "a.mp4: --codec" in told.err and "b.mp4: an empty file" in told.err


def test_an_animation_is_what_images_make_of_it(tmp_path: Path) -> None:
    source = tmp_path / "in.gif"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x24:r=5:d=1", source)
    assert main(["video", str(source), str(tmp_path / "video.gif"), *MODEL]) == 0
    options = ("-o", str(tmp_path / "image.gif"), "--keep-metadata")
    assert main(["upscale", str(source), *options, *MODEL]) == 0
    assert (tmp_path / "video.gif").read_bytes() == (tmp_path / "image.gif").read_bytes()
    assert main(["video", str(source), str(tmp_path / "film.mp4"), *MODEL]) == 0
    assert count_streams(tmp_path / "film.mp4") == ["Video: h264"]


def test_parts_are_joined_by_a_last_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mkv"
    command = ["video", str(source), str(target), *MODEL, "--start", "0:00.25"]
    assert main([*command, "--part", "1/1"]) == 0
    told = capsys.readouterr()
    assert not told.out and "the same command without --part joins all" in told.err
    assert main(command) == 0
    assert "18 from an earlier run" in capsys.readouterr().err and target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.mp4"], "expected one or more inputs, and an output"),
        (["in.mp4", "in.mp4"], "expected a file that is no input"),
        (["in.mp4", "b.mp4", "out.mp4"], "expected a folder that exists, for several videos"),
        (["in.mp4", "out.mp4", "--model", "nothing"], "nothing"),
        (["in.mp4", "out.mp4", "--max-difference", "-1"], "--max-difference"),
        (["in.mp4", "out.mp4", "--part", "1/2", "--stabilise", "1"], "no --stabilise beside it"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "in.mp4", seconds=0.25)
    options = () if "--model" in arguments else MODEL
    assert main(["video", *arguments, *options]) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--start", "soon"], ["--part", "3/2"], ["--denoise", "99"], ["--audio", "mp3"]]
)
def test_values_are_checked_as_they_are_read(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["video", "in.mp4", "out.mp4", *arguments])
    assert caught.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_frames_are_denoised_before_the_model(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    picture = "color=gray:s=64x48:r=4:d=0.5,noise=alls=30:allf=t"
    run_ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "ffv1", "-pix_fmt", "yuv420p", source)
    spread = []
    for name, strength in (("plain", "0"), ("smooth", "5")):
        target = tmp_path / f"{name}.mkv"
        options = ("--codec", "ffv1", "--denoise", strength)
        assert main(["video", str(source), str(target), *MODEL, *options]) == 0
        raw = run_ffmpeg("-i", target, "-f", "rawvideo", "-pix_fmt", "gray", "-")
        spread.append(np.frombuffer(raw, np.uint8).std())
    assert spread[1] < 0.6 * spread[0]
