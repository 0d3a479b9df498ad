"""The command line, in-process, with the embedded model; twice as a process of its own."""

import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superres.catalogue import CATALOGUE
from superres.cli.main import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG file of 20x10 pixels."""
    path = tmp_path / "photo.jpg"
    picture().save(path, quality=90)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names lie in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def picture(width: int = 20, height: int = 10) -> Image.Image:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(ramp.astype(np.uint8))


def run(*arguments: object) -> int:
    """The exit code, that of argparse included."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def told(path: Path | bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(path) if isinstance(path, bytes) else path) as image:
        image.load()
        return image.format, image.size


# Where answers go


def test_a_picture_is_written_beside_its_original(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", "photo.jpg") == 0
    assert told(photo.with_name("photo.x4.jpg")) == ("JPEG", (80, 40))
    assert capsys.readouterr().out == "photo.x4.jpg\n"
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.jpg", "photo.x4.jpg"]


def test_the_options_reach_the_picture(photo: Path) -> None:
    wish = ["--scale", "-1:20", "--format", "webp", "--model", "bicubic_pp.x2", "--tile", "32"]
    assert run("upscale", photo, *wish, "--device", "cpu", "--offline") == 0
    assert told(photo.with_name("photo.upscaled.webp")) == ("WEBP", (40, 20))


def test_quality_and_metadata_reach_the_file(photo: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a ramp"
    picture().save(photo, exif=exif)
    assert run("upscale", photo, "-o", "small.jpg", "--quality", 5, "--keep-metadata") == 0
    assert run("upscale", photo, "-o", "large.jpg", "--quality", 100) == 0
    small, large = Path("small.jpg"), Path("large.jpg")
    assert small.stat().st_size < large.stat().st_size
    with Image.open(small) as kept, Image.open(large) as stripped:
        assert kept.getexif()[0x010E] == "a ramp"
        assert not stripped.getexif()


def test_png_compression_reaches_the_file(photo: Path) -> None:
    for level in (0, 9):
        assert run("upscale", photo, "-o", f"{level}.png", "--png-compression", level) == 0
    assert Path("9.png").stat().st_size < Path("0.png").stat().st_size


def test_a_folder_is_upscaled_into_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "deeper/c.png", ".hidden.png", "a.x4.JPG"):
        picture().save(folder / name)
    (folder / "notes.txt").write_text("no image")
    assert run("upscale", folder, "-o", "large") == 0
    assert sorted(path.name for path in Path("large").iterdir()) == ["a.x4.jpg", "b.x4.png"]
    assert capsys.readouterr().out.split() == ["large/a.x4.jpg", "large/b.x4.png"]


def test_standard_input_goes_to_standard_output(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with photo.open("rb") as stream, io.TextIOWrapper(stream) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("upscale", "-", "--format", "png") == 0
    assert told(capsysbinary.readouterr().out) == ("PNG", (80, 40))


def test_a_picture_is_never_printed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, end = pty.openpty()
    with os.fdopen(end, "w") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        assert run("upscale", "-") == 2
    os.close(terminal)
    assert "standard output is a terminal" in capsys.readouterr().err


# What is in the way


def test_nothing_is_replaced_without_force(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo.x4.jpg").write_text("mine")
    assert run("upscale", "photo.jpg") == 1
    assert Path("photo.x4.jpg").read_text() == "mine"
    assert capsys.readouterr().err == (
        "photo.jpg: photo.x4.jpg exists already: --force replaces it\n"
    )
    assert run("upscale", "photo.jpg", "--force") == 0
    assert told(Path("photo.x4.jpg")) == ("JPEG", (80, 40))


def test_two_pictures_never_become_one_file(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save("photo.png")
    wish = ["--format", "png", "--force"]
    assert run("upscale", "photo.jpg", "photo.png", *wish, "-o", "large") == 1
    assert "photo.png: large/photo.x4.png was just written" in capsys.readouterr().err


def test_a_failure_is_one_line_and_harms_no_other(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Path("empty").mkdir()
    inputs = ["broken.png", "absent.png", "empty", "photo.jpg"]
    assert run("upscale", *inputs, "-o", "large") == 1
    printed = capsys.readouterr()
    assert printed.out == "large/photo.x4.jpg\n"
    lines = printed.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == inputs[:3]
    assert "No such file" in lines[1]
    assert "no images directly" in lines[2]


def test_too_large_a_scale_is_a_failure_of_the_picture(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", "photo.jpg", "--scale", "81:-1") == 1
    assert "at most 80x40" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["upscale"], "INPUT"),
        (["upscale", "photo.jpg", "--scale", "600"], 'scale "600": expected'),
        (["upscale", "photo.jpg", "--quality", "101"], "from 0 to 100"),
        (["upscale", "photo.jpg", "--png-compression", "10"], "from 0 to 9"),
        (["upscale", "photo.jpg", "--tile", "-1"], "from 0 to 16384"),
        (["upscale", "photo.jpg", "--format", "docx"], 'image_format "docx": expected one of png'),
        (["upscale", "photo.jpg", "--model", "x"], 'model "x": expected one of lanczos.x2'),
        (["upscale", "photo.jpg", "photo.jpg", "-o", "photo.jpg"], "a folder"),
        (["upscale", "photo.jpg", "photo.jpg", "-o", "-"], "a folder"),
        (["upscale", "-", "photo.jpg"], "a folder"),
        (["upscale", "-", "-"], "standard input once"),
        (["upscale", "photo.jpg", "-o", "a.png", "--format", "jpeg"], "png, as --output a.png"),
        (["upscale", "photo.jpg", "-o", "a.docx"], "an ending among png"),
        (["upscale", "photo.jpg", "--server", "localhost:51001"], "http://localhost:51001"),
        (["upscale", "photo.jpg", "--server", "http://a", "--device", "cpu"], "none of --device"),
        (["upscale", "photo.jpg", "--face-strength", "0.5"], "--face-enhance beside it"),
        (["upscale", "photo.jpg", "--face-strength", "2", "--face-enhance"], "from 0 to 1"),
        (
            ["upscale", "photo.jpg", "--model", "lanczos.x2", "--face-enhance"],
            "no value with model",
        ),
        (["upscale", "photo.jpg", "--key", "secret"], "--server beside it"),
        (["fetch", "nothing.x9"], "expected one of lanczos.x2"),
        (["fetch"], "models, or --all alone"),
        (["fetch", "dipnet.x4", "--all"], "models, or --all alone"),
        (["fetch", "dipnet.x4", "--to", "photo.jpg"], '--to "photo.jpg": expected a folder'),
    ],
)
def test_wrong_options_end_it_before_any_work(
    photo: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert "secret" not in printed.err
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_missing_weights_and_useless_devices_are_settings(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERRES_CACHE", str(photo.parent / "cache"))
    monkeypatch.delenv("SUPERRES_WEIGHTS_DIR", raising=False)
    assert run("upscale", photo, "--model", "realesrgan.x4plus", "--offline") == 3
    assert "RealESRGAN_x4plus.pth" in capsys.readouterr().err
    assert run("upscale", photo, "--device", "cuda:99") == 3
    assert "cuda:99" in capsys.readouterr().err


# The other commands


def test_the_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["model", "scale"]
    assert [row.split()[0] for row in rows] == list(CATALOGUE)


def test_fetch_says_where_weights_lie(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", "bicubic_pp.x3", "lanczos.x2") == 0
    head, without, embedded = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "MB", "licence", "from", "file"]
    assert without.split()[0] == "lanczos.x2" and "needs no weights" in without
    name, _, licence, source, path = embedded.split()
    assert (name, licence, source) == ("bicubic_pp.x3", "Apache-2.0", "embedded")
    assert Path(path).is_file()


def test_fetch_fails_where_downloads_are_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERRES_CACHE", str(tmp_path))
    monkeypatch.setenv("SUPERRES_OFFLINE", "1")
    monkeypatch.delenv("SUPERRES_WEIGHTS_DIR", raising=False)
    assert run("fetch", "dipnet.x4") == 3
    assert "offline" in capsys.readouterr().err


def test_fetch_goes_on_after_what_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERRES_CACHE", str(tmp_path))
    monkeypatch.setenv("SUPERRES_OFFLINE", "1")
    monkeypatch.delenv("SUPERRES_WEIGHTS_DIR", raising=False)
    assert run("fetch", "--all") == 1
    printed = capsys.readouterr()
    rows = {line.split()[0]: line for line in printed.out.splitlines()}
    assert rows.keys() >= {"dipnet.x4", "bicubic_pp.x4", "realesrgan.x4plus", "lanczos.x2"}
    assert "not there" in rows["realesrgan.x4plus"]
    assert "embedded" in rows["bicubic_pp.x4"]
    assert 'weights file "DIPNet.pth": not in' in printed.err


@pytest.mark.weights
def test_a_fetched_folder_serves_a_machine_without_a_network(
    photo: Path,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = tmp_path / "bundle"
    monkeypatch.setenv("SUPERRES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SUPERRES_OFFLINE", "1")
    monkeypatch.setenv("SUPERRES_WEIGHTS_DIR", str(shared_data / "weights"))
    assert run("fetch", "dipnet.x4", "bicubic_pp.x3", "--to", bundle) == 0
    assert run("fetch", "bicubic_pp.official-x3", "--to", bundle) == 0
    assert str(bundle / "DIPNet.pth") in capsys.readouterr().out
    names = {"DIPNet.pth", "bicubic_pp_x3.pth", "manifest.json", "LICENCES.md"}
    assert {path.name for path in bundle.iterdir()} == names
    dipnet, bicubic = json.loads((bundle / "manifest.json").read_text())
    assert (dipnet["licence"], bicubic["licence"]) == ("MIT", "CC-BY-NC-SA-4.0")
    for entry in (dipnet, bicubic):
        content = (bundle / entry["file"]).read_bytes()
        assert entry["size"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["source"].startswith("https://")
        assert f"| `{entry['file']}` | {entry['licence']} |" in (bundle / "LICENCES.md").read_text()
    monkeypatch.setenv("SUPERRES_WEIGHTS_DIR", str(bundle))
    assert run("upscale", photo, "--model", "bicubic_pp.official-x3", "--force") == 0
    (bundle / "DIPNet.pth").write_bytes(b"damaged")
    monkeypatch.setenv("SUPERRES_WEIGHTS_DIR", str(shared_data / "weights"))
    assert run("fetch", "dipnet.x4", "--to", bundle) == 0
    assert (bundle / "DIPNet.pth").stat().st_size == dipnet["size"]


# By a server


class Slow(BaseHTTPRequestHandler):
    """Takes an image and never answers; says when it has one."""

    arrived = threading.Event()
    released = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.arrived.set()
        self.released.wait(30)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def slow() -> Iterator[str]:
    """The address of a server that keeps its clients waiting."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Slow.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_is_not_there_ends_the_run(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save("second.png")
    assert run("upscale", "photo.jpg", "second.png", "--server", "http://127.0.0.1:1") == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


# As a process of its own


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "dumb"}


def test_the_module_runs_and_shows_its_progress_on_a_terminal(photo: Path) -> None:
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    done = subprocess.run(
        [sys.executable, "-m", "superres", "upscale", "-", "--tile", "8"],
        input=photo.read_bytes(),
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(),
        check=False,
    )
    os.set_blocking(terminal, False)
    shown = os.read(terminal, 10_000).decode()
    os.close(stderr)
    os.close(terminal)
    assert done.returncode == 0, shown
    assert told(done.stdout) == ("JPEG", (80, 40))
    assert "tile" in shown


def test_an_interrupt_ends_it_without_a_stack_or_a_file(photo: Path, slow: str) -> None:
    command = [sys.executable, "-m", "superres", "upscale", str(photo), "--server", slow]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert Slow.arrived.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]
